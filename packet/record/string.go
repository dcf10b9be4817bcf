// Package record writes the parts that all records share: JSON strings, times, and the tail with
// the datagram's source, listener and shard.
//
// A record is a JSON object on a line. A handler appends "{" and its own fields to the buffer of
// its batch, then the Tail, which closes the object and the line. In other formats a record is a
// line of escaped text. All functions append to the caller's buffer, and allocate nothing once the
// buffer is large enough.
package record

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Masks for 8 bytes in a word. The high bit of a byte marks a byte that is not ASCII, or that RFC
// 8259 section 7 wants escaped.
const (
	lowBits  = 0x0101010101010101
	highBits = 0x8080808080808080
)

// AppendString appends s as a JSON string with quotes; see AppendText.
func AppendString(dst, s []byte) []byte {
	dst = append(dst, '"')
	dst = AppendText(dst, s)
	return append(dst, '"')
}

// AppendText appends s as text between the quotes of a JSON string (RFC 8259 section 7). Quotation
// marks, backslashes and control bytes are escaped, and so are U+2028 and U+2029, which end a line
// in JavaScript before ECMAScript 2019. Each byte that is not UTF-8 becomes U+FFFD. The rest is
// literal.
//
// A string may be written in parts, if each part but the last ends with an ASCII byte, or the next
// part begins with an ASCII byte.
func AppendText(dst, s []byte) []byte {
	clean := 0 // start of the bytes to copy unchanged
	for i := 0; i < len(s); {
		i += cleanASCII(s[i:])
		if i == len(s) {
			break
		}
		if s[i] < utf8.RuneSelf {
			dst = append(dst, s[clean:i]...)
			dst = appendEscape(dst, s[i])
			i++
			clean = i
			continue
		}
		for i < len(s) && s[i] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			switch {
			case r == utf8.RuneError && size == 1:
				dst = append(dst, s[clean:i]...)
				dst = append(dst, "\uFFFD"...)
				clean = i + 1
			case r == '\u2028' || r == '\u2029':
				dst = append(dst, s[clean:i]...)
				dst = append(dst, `\u202`...)
				dst = append(dst, hexDigits[r&0xf])
				clean = i + size
			}
			i += size
		}
	}
	return append(dst, s[clean:]...)
}

// cleanASCII returns how many bytes at the start of s are ASCII and need no
// escape.
func cleanASCII(s []byte) int {
	i := 0
	for ; len(s)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		control := w - ' '*lowBits
		quote := (w ^ '"'*lowBits) - lowBits
		slash := (w ^ '\\'*lowBits) - lowBits
		// A borrow runs upwards only, from a byte with a correct mark, so the lowest mark is
		// correct.
		if marked := (w | control | quote | slash) & highBits; marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			break
		}
	}
	return i
}

// appendEscape appends the escape of an ASCII byte: the short form if JSON has a short form.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}
