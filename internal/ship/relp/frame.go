package relp

import (
	"errors"
	"fmt"
	"strconv"
)

const (
	// maxTransaction is the largest transaction number: NUMBER has at most 9 digits (section RELP
	// FRAME). The specification goes on with 1. librelp 1.11 goes on with 1,000,000,000, and then
	// refuses the tenth digit. So a new session begins before the number is reached.
	maxTransaction = 999_999_999
	// maxDataSize is the largest DATALEN, in bytes: NUMBER has at most 9 digits.
	maxDataSize = 999_999_999
	// maxResponseSize is the largest data of a frame from the server, in bytes. Section RELP FRAME:
	// "in relp version 1, it is always 128K".
	maxResponseSize = 128 << 10
	maxCommandSize  = 32
)

// frame is a frame from the server.
type frame struct {
	transaction int // 0: a hint
	command     []byte
	data        []byte
}

// appendFrame appends TXNR SP COMMAND SP DATALEN [SP DATA] LF.
func appendFrame(b []byte, transaction int, command string, data []byte) []byte {
	b = strconv.AppendInt(b, int64(transaction), 10)
	b = append(b, ' ')
	b = append(b, command...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(data)), 10)
	if len(data) > 0 {
		b = append(b, ' ')
		b = append(b, data...)
	}
	return append(b, '\n')
}

// parseFrame returns the frame at the start of b, in parts of b, and the size of the frame. The size
// is 0 if b ends within the frame.
func parseFrame(b []byte) (f frame, size int, err error) {
	transaction, n := parseNumber(b)
	if n == len(b) && n <= 9 {
		return f, 0, nil
	}
	if n == 0 || n > 9 || b[n] != ' ' {
		return f, 0, notAFrame(b)
	}
	n++
	start := n
	for n < len(b) && isLetter(b[n]) && n-start <= maxCommandSize {
		n++
	}
	command := b[start:n]
	if n == len(b) && len(command) <= maxCommandSize {
		return f, 0, nil
	}
	if len(command) == 0 || len(command) > maxCommandSize || b[n] != ' ' {
		return f, 0, notAFrame(b)
	}
	n++
	length, digits := parseNumber(b[n:])
	n += digits
	if n == len(b) && digits <= 9 {
		return f, 0, nil
	}
	if digits == 0 || digits > 9 {
		return f, 0, notAFrame(b)
	}
	if length > maxResponseSize {
		return f, 0, fmt.Errorf("frame of %d bytes from the server: at most %d bytes are possible",
			length, maxResponseSize)
	}
	var data []byte
	if length > 0 {
		if b[n] != ' ' {
			return f, 0, notAFrame(b)
		}
		n++
		if len(b) <= n+length {
			return f, 0, nil
		}
		data = b[n : n+length]
		n += length
	}
	if b[n] != '\n' {
		return f, 0, notAFrame(b)
	}
	return frame{transaction, command, data}, n + 1, nil
}

// parseNumber returns the number at the start of b, and how many digits the number has: at most 10
// digits are read.
func parseNumber(b []byte) (number, digits int) {
	for digits < min(len(b), 10) && b[digits] >= '0' && b[digits] <= '9' {
		number = 10*number + int(b[digits]-'0')
		digits++
	}
	return number, digits
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// errNoFrame is the error of bytes that are no frame of RELP.
var errNoFrame = errors.New("no frame of RELP")

func notAFrame(b []byte) error {
	return fmt.Errorf("%w: %q", errNoFrame, b[:min(len(b), 40)])
}

// parseResponse returns the parts of the data of a rsp frame: a code of three digits, a text for
// people, and the data of the command. Two forms are in use: CODE [SP TEXT] [LF DATA].
func parseResponse(data []byte) (code int, text, rest []byte, err error) {
	code, digits := parseNumber(data)
	if digits != 3 || len(data) > 3 && data[3] != ' ' && data[3] != '\n' {
		return 0, nil, nil, fmt.Errorf("response without a code: %q", data[:min(len(data), 40)])
	}
	text = data[3:]
	for i, c := range text {
		if c == '\n' {
			text, rest = text[:i], text[i+1:]
			break
		}
	}
	if len(text) > 0 {
		text = text[1:]
	}
	return code, text, rest, nil
}
