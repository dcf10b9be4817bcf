package record

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// del is the control character at the end of ASCII.
const del = 0x7f

// escapedLength is the length of #ooo.
const escapedLength = len("#ooo")

// AppendEscaped appends data as a line: control characters (0x00 to 0x1f, 0x7f) and # become #ooo,
// with three octal digits. All other bytes are literal, also 0x80 to 0xff. Unescape undoes
// AppendEscaped. rsyslog escapes control characters in the same way by default
// ($EscapeControlCharactersOnReceive, $ControlCharacterEscapePrefix), but leaves # as it is.
func AppendEscaped(dst, data []byte) []byte {
	clean := 0 // start of the bytes to copy unchanged
	for i := literal(data); i < len(data); i += literal(data[i:]) {
		dst = append(dst, data[clean:i]...)
		dst = appendOctal(dst, data[i])
		i++
		clean = i
	}
	return append(dst, data[clean:]...)
}

// Unescape returns the data of a line that AppendEscaped has written, without the newline. The data
// overwrites the start of line. A # without the three octal digits of a byte (000 to 377) stays as
// it is.
func Unescape(line []byte) []byte {
	data := line[:0]
	for {
		i := bytes.IndexByte(line, '#')
		if i < 0 {
			return append(data, line...)
		}
		if c, ok := octal(line[i+1:]); ok {
			data = append(append(data, line[:i]...), c)
			line = line[i+escapedLength:]
		} else {
			data = append(data, line[:i+1]...)
			line = line[i+1:]
		}
	}
}

// AppendLine appends text as a part of a line in UTF-8: control characters become #ooo as in
// AppendEscaped, and each byte that is not UTF-8 becomes U+FFFD. The rest is literal, also #, so
// AppendLine cannot be undone.
//
// Text may be written in parts, as in AppendText.
func AppendLine(dst, text []byte) []byte {
	clean := 0
	for i := 0; i < len(text); {
		i += printable(text[i:])
		if i == len(text) {
			break
		}
		if text[i] < utf8.RuneSelf {
			dst = appendOctal(append(dst, text[clean:i]...), text[i])
			i++
			clean = i
			continue
		}
		for i < len(text) && text[i] >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(text[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(append(dst, text[clean:i]...), "\uFFFD"...)
				clean = i + 1
			}
			i += size
		}
	}
	return append(dst, text[clean:]...)
}

// literal returns how many bytes at the start of data AppendEscaped leaves as they are.
func literal(data []byte) int {
	i := 0
	for ; len(data)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(data[i:])
		control := w - ' '*lowBits
		deleted := (w ^ del*lowBits) - lowBits
		hash := (w ^ '#'*lowBits) - lowBits
		// The lowest mark is correct, as in cleanASCII.
		if marked := (control | deleted | hash) &^ w & highBits; marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for ; i < len(data); i++ {
		if c := data[i]; c < ' ' || c == del || c == '#' {
			break
		}
	}
	return i
}

// printable returns how many bytes at the start of text are ASCII and no control characters.
func printable(text []byte) int {
	i := 0
	for ; len(text)-i >= 8; i += 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		control := w - ' '*lowBits
		deleted := (w ^ del*lowBits) - lowBits
		if marked := (w | control | deleted) & highBits; marked != 0 {
			return i + bits.TrailingZeros64(marked)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c >= del {
			break
		}
	}
	return i
}

// appendOctal appends #ooo.
func appendOctal(dst []byte, c byte) []byte {
	return append(dst, '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
}

// octal reads the three octal digits of a byte at the start of text.
func octal(text []byte) (c byte, ok bool) {
	if len(text) < escapedLength-1 {
		return 0, false
	}
	high, middle, low := text[0]-'0', text[1]-'0', text[2]-'0'
	return high<<6 | middle<<3 | low, high <= 3 && middle <= 7 && low <= 7
}
