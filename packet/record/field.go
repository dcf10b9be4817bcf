package record

import (
	"bytes"
	"iter"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Field returns the text of a member of a record, as the text stands between the quotes of its JSON
// string: AppendUnescaped decodes the text. Field returns nil if the record has no such member, or
// the member is no string. The key is compared without decoding: keys of records have no escapes.
// The text is a part of line.
func Field(line []byte, key string) (text []byte) {
	for k, value := range Members(line) {
		if string(k) == key {
			return Text(value)
		}
	}
	return nil
}

// Text returns the text between the quotes of a JSON string, nil for any other value.
func Text(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	return value[1 : len(value)-1]
}

// Members yields the members of a JSON object in order: the key as the key stands between its
// quotes, and the value as JSON. Both are parts of line. The object is not checked: Members ends at
// the first byte that can't belong to an object.
func Members(line []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		rest, ok := skipByte(line, '{')
		for ok {
			end := stringEnd(rest)
			if end == 0 {
				return
			}
			key := rest[1 : end-1]
			if rest, ok = skipByte(rest[end:], ':'); !ok {
				return
			}
			end = valueEnd(rest)
			if end == 0 || !yield(key, rest[:end:end]) {
				return
			}
			rest, ok = skipByte(rest[end:], ',')
		}
	}
}

// Elements yields the elements of a JSON array in order, as JSON. The elements are parts of value. The
// array is not checked: Elements ends at the first byte that can't belong to an array.
func Elements(value []byte) iter.Seq[[]byte] {
	return func(yield func(element []byte) bool) {
		rest, ok := skipByte(value, '[')
		for ok {
			end := valueEnd(rest)
			if end == 0 || !yield(rest[:end:end]) {
				return
			}
			rest, ok = skipByte(rest[end:], ',')
		}
	}
}

// skipByte returns s without the byte c at its start, and white space around; ok is false if
// another byte is there.
func skipByte(s []byte, c byte) (rest []byte, ok bool) {
	s = skipSpace(s)
	if len(s) == 0 || s[0] != c {
		return s, false
	}
	return skipSpace(s[1:]), true
}

func skipSpace(s []byte) []byte {
	for len(s) > 0 && isSpace(s[0]) {
		s = s[1:]
	}
	return s
}

// isSpace reports whether c is white space between the tokens of JSON (RFC 8259 section 2).
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// stringEnd returns the length of the JSON string at the start of s, 0 if there is none.
func stringEnd(s []byte) int {
	if len(s) == 0 || s[0] != '"' {
		return 0
	}
	for end := 1; ; {
		quote := bytes.IndexByte(s[end:], '"')
		if quote < 0 {
			return 0
		}
		end += quote + 1
		slashes := 0 // before the quote: an odd number escapes the quote
		for s[end-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end
		}
	}
}

// valueEnd returns the length of the JSON value at the start of s, 0 if there is none.
func valueEnd(s []byte) int {
	depth := 0 // of objects and arrays
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			n := stringEnd(s[i:])
			if n == 0 {
				return 0
			}
			if depth == 0 {
				return n
			}
			i += n - 1
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // after a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || isSpace(c)):
			return i
		}
	}
	return 0
}

// AppendUnescaped appends the text between the quotes of a JSON string with its escapes decoded. An
// escape that is not JSON is appended as written; half of a surrogate pair becomes U+FFFD.
func AppendUnescaped(dst, text []byte) []byte {
	for {
		slash := bytes.IndexByte(text, '\\')
		if slash < 0 || slash+1 == len(text) {
			return append(dst, text...)
		}
		dst = append(dst, text[:slash]...)
		text = text[slash:]
		n := 2
		switch c := text[1]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		default:
			var r rune
			if r, n = escapedRune(text); n > 0 {
				dst = utf8.AppendRune(dst, r)
				break
			}
			dst = append(dst, '\\')
			n = 1
		}
		text = text[n:]
	}
}

// escapedRune decodes the escape \uXXXX at the start of text, or two that are a surrogate pair. n
// is 0 if text begins with another escape.
func escapedRune(text []byte) (r rune, n int) {
	r = hexRune(text)
	if r < 0 {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, hexRune(text[6:])); pair != utf8.RuneError {
			return pair, 12
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

// hexRune returns the number of an escape \uXXXX at the start of text, -1 if there is none.
func hexRune(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}
