package rdata

import (
	"errors"
	"fmt"
	"slices"
)

// maxString is the largest length of a character string, in octets (RFC 1035 section 3.3).
const maxString = 255

// decode appends the octets of a word or quoted string.
func decode(dst []byte, text string) ([]byte, error) {
	for i := 0; i < len(text); {
		c := text[i]
		switch c {
		case '\\':
			var err error
			if c, i, err = unescape(text, i); err != nil {
				return dst, err
			}
		case '"':
			return dst, errQuote
		default:
			i++
		}
		dst = append(dst, c)
	}
	return dst, nil
}

// appendQuoted appends a string in quotes.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, c := range s {
		switch {
		case c < ' ' || c > '~':
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// parseString appends a string behind an octet with its length. A longer string than 255 octets is
// an error, or several strings, of 255 octets and the rest.
func parseString(p *parser, split bool) error {
	f, err := p.next()
	if err != nil {
		return err
	}
	start := len(p.data)
	if p.data, err = decode(append(p.data, 0), f.Text); err != nil {
		return err
	}
	s := p.data[start+1:]
	if len(s) <= maxString {
		p.data[start] = byte(len(s))
		return nil
	}
	if !split {
		return errors.New("a string of more than 255 octets (RFC 1035 section 3.3)")
	}
	s = slices.Clone(s)
	p.data = p.data[:start]
	for part := range slices.Chunk(s, maxString) {
		p.data = append(append(p.data, byte(len(part))), part...)
	}
	return nil
}

var (
	// characterString is a string of up to 255 octets (RFC 1035 section 3.3). In text it is a word or
	// in quotes.
	characterString = kind{
		parse: func(p *parser) error { return parseString(p, false) },
		check: checkCounted,
		text:  func(dst, data []byte) []byte { return appendQuoted(dst, data[1:]) },
	}
	// splitString is a string that stands for several if it is longer, as the keys of DKIM in Knot and
	// PowerDNS.
	splitString = kind{
		parse: func(p *parser) error { return parseString(p, true) },
		check: characterString.check,
		text:  characterString.text,
	}
	// rest is one string up to the end of the data, of any length, without an octet for the length.
	// The string may be empty, but not missing.
	rest = kind{
		parse: func(p *parser) error {
			f, err := p.next()
			if err == nil {
				p.data, err = decode(p.data, f.Text)
			}
			return err
		},
		check: remaining(0),
		text:  appendQuoted,
	}
	// expression is the substitution of a NAPTR record (RFC 3402 section 3.2).
	expression = kind{
		parse: characterString.parse,
		check: func(data []byte) (int, error) {
			n, err := checkCounted(data)
			if err == nil && n > 1 && !isExpression(data[1:n]) {
				err = fmt.Errorf("%q: not a substitution expression (RFC 3402 section 3.2)", data[1:n])
			}
			return n, err
		},
		text: characterString.text,
	}
	// tag is the property of a CAA record: letters and digits (RFC 8659 section 4.1).
	tag = kind{
		parse: characterString.parse,
		check: checkCharacters(1, func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }, "letters and digits (RFC 8659 section 4.1)"),
		text:  func(dst, data []byte) []byte { return append(dst, data[1:]...) },
	}
	// psdnAddress is an address of X.25 (RFC 1183 section 3.1).
	psdnAddress = kind{
		parse: characterString.parse,
		check: checkCharacters(4, isDigit, "four or more digits (RFC 1183 section 3.1)"),
		text:  characterString.text,
	}
)

// checkCharacters checks a string of at least atLeast octets, all of which are valid.
func checkCharacters(atLeast int, valid func(c byte) bool, form string) func(data []byte) (int, error) {
	return func(data []byte) (int, error) {
		n, err := checkCounted(data)
		if err != nil {
			return 0, err
		}
		if n-1 < atLeast || slices.ContainsFunc(data[1:n], func(c byte) bool { return !valid(c) }) {
			return 0, fmt.Errorf("%q: not %s", data[1:n], form)
		}
		return n, nil
	}
}

// isExpression reports whether s is a delimiter, a regular expression, the delimiter, a replacement,
// the delimiter, and the flag i or nothing; and whether the regular expression has the groups that
// the replacement refers to (RFC 3402 section 3.2). s is not empty.
func isExpression(s []byte) bool {
	delimiter, delimiters, groups := s[0], 0, byte('0')
	if delimiter < ' ' || delimiter > '~' || delimiter == '\\' || delimiter == 'i' || isDigit(delimiter) {
		return false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == delimiter:
			if delimiters++; delimiters == 2 && i == 1 {
				return false
			}
			if delimiters == 3 {
				flags := string(s[i+1:])
				return flags == "" || flags == "i"
			}
		case c == '\\':
			if i++; i < len(s) && delimiters == 2 && isDigit(s[i]) && (s[i] == '0' || s[i] > groups) {
				return false
			}
		case c == '(' && delimiters == 1 && groups < '9':
			groups++
		}
	}
	return false
}
