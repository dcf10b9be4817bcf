package rdata

import (
	"errors"
	"fmt"
)

// maxString is the largest length of a character string, in octets (RFC 1035 section 3.3).
const maxString = 255

// decode appends the octets of a word or quoted string.
func decode(dst []byte, f Field) ([]byte, error) {
	for i := 0; i < len(f.Text); {
		c := f.Text[i]
		switch {
		case c == '\\':
			var err error
			if c, i, err = unescape(f.Text, i); err != nil {
				return dst, err
			}
		case c == '"' && !f.Quoted:
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
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

func appendEscaped(dst, s []byte) []byte {
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
	return dst
}

// characterString is a string of up to 255 octets, behind an octet with its length (RFC 1035 section
// 3.3). In text it is a word or in quotes.
var characterString = kind{
	form: "string",
	parse: func(p *parser) error {
		f, err := p.next()
		if err != nil {
			return err
		}
		start := len(p.data)
		if p.data, err = decode(append(p.data, 0), f); err != nil {
			return err
		}
		n := len(p.data) - start - 1
		if n > maxString {
			return errors.New("a string of more than 255 octets (RFC 1035 section 3.3)")
		}
		p.data[start] = byte(n)
		return nil
	},
	check: checkCounted,
	text: func(dst, data []byte, at, end int) []byte {
		return appendQuoted(dst, data[at+1:end])
	},
}

// checkCounted checks octets behind an octet with their number.
func checkCounted(data []byte, at int) (int, error) {
	if at >= len(data) {
		return 0, errTruncated
	}
	end := at + 1 + int(data[at])
	if end > len(data) {
		return 0, errTruncated
	}
	return end, nil
}

// strings are one or more strings up to the end of the data.
var characterStrings = list(characterString, 1)

// splitStrings are strings of which a longer one than 255 octets stands for several strings of 255
// octets and the rest, as PowerDNS and Knot read the keys of DKIM.
var splitStrings = func() kind {
	split := characterString
	split.parse = func(p *parser) error {
		f, err := p.next()
		if err != nil {
			return err
		}
		start := len(p.data)
		if p.data, err = decode(append(p.data, 0), f); err != nil {
			return err
		}
		for n := len(p.data) - start - 1; n > maxString; n -= maxString {
			p.data[start] = maxString
			start += 1 + maxString
			p.data = append(p.data, 0)
			copy(p.data[start+1:], p.data[start:])
		}
		p.data[start] = byte(len(p.data) - start - 1)
		return nil
	}
	return list(split, 1)
}()

// optionalString is a string that may be missing at the end of the data.
var optionalString = kind{
	form: "string, or nothing",
	parse: func(p *parser) error {
		if len(p.fields) == 0 {
			return nil
		}
		return characterString.parse(p)
	},
	check: func(data []byte, at int) (int, error) {
		if at == len(data) {
			return at, nil
		}
		return checkCounted(data, at)
	},
	text: func(dst, data []byte, at, end int) []byte {
		if at == end {
			return dst
		}
		return characterString.text(dst, data, at, end)
	},
}

// rest is one string up to the end of the data, of any length, without an octet for its length. It
// may be empty, but not missing.
var rest = kind{
	form: "string of any length",
	parse: func(p *parser) error {
		f, err := p.next()
		if err == nil {
			p.data, err = decode(p.data, f)
		}
		return err
	},
	check: func(data []byte, at int) (int, error) { return len(data), nil },
	text: func(dst, data []byte, at, end int) []byte {
		return appendQuoted(dst, data[at:end])
	},
}

// tag is a property of a CAA record: letters and digits (RFC 8659 section 4.1).
var tag = kind{
	form:  "letters and digits",
	parse: characterString.parse,
	check: func(data []byte, at int) (int, error) {
		end, err := checkCounted(data, at)
		if err != nil {
			return 0, err
		}
		if end == at+1 {
			return 0, errEmpty
		}
		for _, c := range data[at+1 : end] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') {
				return 0, fmt.Errorf("%q: not a letter or digit (RFC 8659 section 4.1)", c)
			}
		}
		return end, nil
	},
	text: func(dst, data []byte, at, end int) []byte { return append(dst, data[at+1:end]...) },
}

// digits is a string of four or more digits (RFC 1183 section 3.1).
var digits = kind{
	form:  "digits",
	parse: characterString.parse,
	check: func(data []byte, at int) (int, error) {
		end, err := checkCounted(data, at)
		if err != nil {
			return 0, err
		}
		for _, c := range data[at+1 : end] {
			if !isDigit(c) {
				return 0, fmt.Errorf("%q: not a digit (RFC 1183 section 3.1)", c)
			}
		}
		if end-at-1 < 4 {
			return 0, errors.New("less than four digits (RFC 1183 section 3.1)")
		}
		return end, nil
	},
	text: characterString.text,
}
