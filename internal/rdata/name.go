package rdata

import (
	"errors"
	"fmt"
)

const (
	maxName  = 255 // octets, with the root's (RFC 1035 section 2.3.4)
	maxLabel = 63  // octets (RFC 1035 section 2.3.4)
)

var (
	errNoName     = errors.New("not a name: empty")
	errNoOrigin   = errors.New("a relative name, without an origin")
	errEmptyLabel = errors.New("an empty label")
	errLongLabel  = errors.New("a label of more than 63 octets (RFC 1035 section 2.3.4)")
	errLongName   = errors.New("a name of more than 255 octets (RFC 1035 section 2.3.4)")
	errQuote      = errors.New("a quote within a word")
	errBackslash  = errors.New("a backslash and less than three digits (RFC 1035 section 5.1)")
)

// unescape returns the octet that begins at text[i], and the index behind it. An escape is a
// backslash and three digits up to 255, or a backslash and another character (RFC 1035 section 5.1).
func unescape(text string, i int) (byte, int, error) {
	c := text[i]
	if c != '\\' {
		return c, i + 1, nil
	}
	if i+1 >= len(text) {
		return 0, 0, errors.New("a backslash at the end")
	}
	if c = text[i+1]; !isDigit(c) {
		return c, i + 2, nil
	}
	if i+3 >= len(text) || !isDigit(text[i+2]) || !isDigit(text[i+3]) {
		return 0, 0, errBackslash
	}
	n := int(c-'0')*100 + int(text[i+2]-'0')*10 + int(text[i+3]-'0')
	if n > 255 {
		return 0, 0, fmt.Errorf(`%s: an escape is for an octet, up to \255 (RFC 1035 section 5.1)`, text[i:i+4])
	}
	return byte(n), i + 4, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// ParseName returns a name of a master file in wire form, case as in text. origin, in wire form,
// completes relative names and is the name @; without an origin (""), both are errors.
func ParseName(text, origin string) (wire string, err error) {
	var buf [maxName + 1]byte
	name, err := parseNameTo(buf[:0], text, origin)
	return string(name), err
}

// parseNameTo appends the wire form of a name to dst.
func parseNameTo(dst []byte, text, origin string) ([]byte, error) {
	switch text {
	case "":
		return dst, errNoName
	case ".":
		return append(dst, 0), nil
	case "@":
		if origin == "" {
			return dst, errNoOrigin
		}
		return append(dst, origin...), nil
	}
	start, label := len(dst), len(dst) // label is the index of the label's length
	dst = append(dst, 0)
	for i := 0; i < len(text); {
		c := text[i]
		switch c {
		case '.':
			n := len(dst) - label - 1
			if n == 0 {
				return dst, errEmptyLabel
			}
			if n > maxLabel {
				return dst, errLongLabel
			}
			dst[label] = byte(n)
			label = len(dst)
			dst = append(dst, 0)
			i++
			continue
		case '"':
			return dst, errQuote
		case '\\':
			var err error
			if c, i, err = unescape(text, i); err != nil {
				return dst, err
			}
		default:
			i++
		}
		dst = append(dst, c)
	}
	if n := len(dst) - label - 1; n > 0 {
		if n > maxLabel {
			return dst, errLongLabel
		}
		if origin == "" {
			return dst, errNoOrigin
		}
		dst[label] = byte(n)
		dst = append(dst, origin...)
	}
	if len(dst)-start > maxName {
		return dst, errLongName
	}
	return dst, nil
}

// AppendName appends the text of a name in wire form: complete, case as in wire, with a backslash
// before characters that are special in master files, and \DDD for octets that do not print.
func AppendName[T string | []byte](dst []byte, wire T) []byte {
	if len(wire) > 0 && wire[0] == 0 {
		return append(dst, '.')
	}
	for i := 0; i < len(wire) && wire[i] != 0; {
		end := min(i+1+int(wire[i]), len(wire))
		for _, c := range []byte(wire[i+1 : end]) {
			switch {
			case c <= ' ' || c > '~':
				dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
			case c == '.' || c == '\\' || c == '"' || c == '(' || c == ')' || c == ';' || c == '@' || c == '$':
				dst = append(dst, '\\', c)
			default:
				dst = append(dst, c)
			}
		}
		dst = append(dst, '.')
		i = end
	}
	return dst
}

// domain is a name, without pointers to other names (RFC 3597 section 4).
var domain = kind{
	parse: func(p *parser) error {
		text, err := p.word()
		if err == nil {
			p.data, err = parseNameTo(p.data, text, p.origin)
		}
		return err
	},
	check: func(data []byte) (int, error) {
		for i := 0; i < len(data); i += 1 + int(data[i]) {
			switch {
			case data[i] > maxLabel:
				return 0, errors.New("a compressed or extended label (RFC 3597 section 4)")
			case i >= maxName:
				return 0, errLongName
			case data[i] == 0:
				return i + 1, nil
			}
		}
		return 0, errTruncated
	},
	text: AppendName[[]byte],
}
