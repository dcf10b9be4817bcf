// Package rdata reads, checks and writes the data of DNS records. One table (types) has the fields
// of each type: the order of the fields, the form of each field, and what may be empty, from the
// RFCs. Parse reads the text of master files (RFC 1035 section 5.1), Check checks wire data, and
// AppendText writes canonical text; all three go through the fields of the table. A type that is not
// in the table has any data, in the text form of RFC 3597.
package rdata

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// Field is a word or a quoted string of a master file. Text keeps the backslash escapes, and has no
// quotes around a quoted string. A word may contain a quoted string behind its beginning, as
// alpn="h2,h3" (RFC 9460 section 2.1): Text then keeps the quotes, and Quoted is false.
type Field struct {
	Text   string
	Quoted bool
}

// maxData is the largest length of a record's data, in octets (RFC 1035 section 3.2.1: RDLENGTH).
const maxData = 65535

var errMeta = errors.New("not a type of data (RFC 6895 section 3.1)")

var parsers = sync.Pool{New: func() any { return new(parser) }}

// Parse returns the wire form, without compressed names, of the data of a record. fields are all
// that stands behind the type; \# and its words (RFC 3597 section 5) are read for any type. origin,
// in wire form, completes relative names; without an origin (""), relative names are errors. What
// Parse returns passes Check. An error names the type, the field and the cause.
func Parse(rtype uint16, fields []Field, origin string) ([]byte, error) {
	p := parsers.Get().(*parser)
	*p = parser{fields: fields, origin: origin, data: p.data[:0]}
	defer func() {
		*p = parser{data: p.data}
		parsers.Put(p)
	}()
	if err := p.parse(rtype); err != nil {
		return nil, fmt.Errorf("%s: %w", TypeName(rtype), err)
	}
	if err := Check(rtype, p.data); err != nil {
		return nil, err
	}
	return append(make([]byte, 0, len(p.data)), p.data...), nil
}

func (p *parser) parse(rtype uint16) error {
	if isMeta(rtype) {
		return errMeta
	}
	if len(p.fields) > 0 && p.fields[0] == (Field{Text: `\#`}) {
		return p.generic()
	}
	t := byNumber[rtype]
	if t == nil || t.fields == nil {
		return errors.New(`no text form is known: \#, the length and the data in hexadecimal are needed (RFC 3597 section 5)`)
	}
	for i := range t.fields {
		f := &t.fields[i]
		left := p.fields
		if err := f.parse(p); err != nil {
			if len(left) == 0 {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			return fmt.Errorf("%s: %.80q: %w", f.name, left[0].Text, err)
		}
	}
	if len(p.fields) > 0 {
		return fmt.Errorf("%.80q: more than the type has fields for", p.fields[0].Text)
	}
	return nil
}

// generic reads the text form of any type (RFC 3597 section 5): \#, the length, and that many octets
// in words of hexadecimal digits.
func (p *parser) generic() error {
	p.fields = p.fields[1:]
	length, err := p.word()
	if err != nil {
		return fmt.Errorf(`\#: length: %w`, err)
	}
	n, err := parseNumber(length, maxData)
	if err != nil {
		return fmt.Errorf(`\#: length: %.80q: %w`, length, err)
	}
	if err := words(decodeHex)(p); err != nil {
		return fmt.Errorf(`\#: %w`, err)
	}
	if len(p.data) != int(n) {
		return fmt.Errorf(`\#: %d octets of data, and the length says %d (RFC 3597 section 5)`, len(p.data), n)
	}
	return nil
}

// Check checks that data has the wire form of the type, with whole names and nothing behind the last
// field. Types that are not in the table have any data, of at most 65,535 octets.
func Check(rtype uint16, data []byte) error {
	if len(data) > maxData {
		return fmt.Errorf("%s: %d octets of data, at most %d fit into a record (RFC 1035 section 3.2.1)", TypeName(rtype), len(data), maxData)
	}
	t := byNumber[rtype]
	if t == nil || t.fields == nil {
		if isMeta(rtype) {
			return fmt.Errorf("%s: %w", TypeName(rtype), errMeta)
		}
		return nil
	}
	left := data
	for i := range t.fields {
		f := &t.fields[i]
		n, err := f.check(left)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", t.name, f.name, err)
		}
		left = left[n:]
	}
	if len(left) > 0 {
		return fmt.Errorf("%s: %d octets behind the last field", t.name, len(left))
	}
	if t.rule != nil {
		if err := t.rule(data); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// isMeta reports whether records of the type have no data in zones: type 0, OPT, and the types for
// queries and single messages (RFC 6895 section 3.1).
func isMeta(rtype uint16) bool { return rtype == 0 || rtype == 41 || rtype >= 128 && rtype <= 255 }

// AppendText appends the data in the text form of the type: one space between fields, complete names,
// strings in quotes, numbers for mnemonics of other fields than types. Data that has no text form of
// its own, or that does not pass Check, is appended in the form of RFC 3597. Parse makes the same
// data of the text.
func AppendText(dst []byte, rtype uint16, data []byte) []byte {
	t := byNumber[rtype]
	if t == nil || t.fields == nil || Check(rtype, data) != nil {
		return appendGeneric(dst, data)
	}
	text, left := dst, data
	if text == nil {
		text = []byte{} // a field returns nil if the data has no text form
	}
	for i := range t.fields {
		f := &t.fields[i]
		n, _ := f.check(left)
		before := len(text)
		if i > 0 {
			text = append(text, ' ')
		}
		start := len(text)
		if text = f.text(text, left[:n]); text == nil {
			return appendGeneric(dst, data)
		}
		if len(text) == start {
			text = text[:before] // a list without members
		}
		left = left[n:]
	}
	return text
}

func appendGeneric(dst, data []byte) []byte {
	dst = append(dst, `\# `...)
	dst = strconv.AppendInt(dst, int64(len(data)), 10)
	if len(data) == 0 {
		return dst
	}
	dst = append(dst, ' ')
	return appendHex(dst, data)
}
