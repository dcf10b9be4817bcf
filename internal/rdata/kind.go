package rdata

import (
	"errors"
	"fmt"
)

// kind is the form of a field, in text and in wire.
type kind struct {
	parse func(p *parser) error                // reads the words of the field, and appends the wire form to p.data
	check func(data []byte) (n int, err error) // checks the field at the beginning of data; n octets are the field's
	text  func(dst, data []byte) []byte        // appends the text of a checked field; nil: the data has no text form
}

var (
	errMissing   = errors.New("missing")
	errQuoted    = errors.New("a word without quotes is needed")
	errTruncated = errors.New("the data ends within the field")
	errEmpty     = errors.New("empty")
)

// parser is the state of one call of Parse: the fields that are left, and the data so far.
type parser struct {
	fields []Field
	origin string
	data   []byte
}

// next returns the next word or quoted string.
func (p *parser) next() (Field, error) {
	if len(p.fields) == 0 {
		return Field{}, errMissing
	}
	f := p.fields[0]
	p.fields = p.fields[1:]
	return f, nil
}

// word returns the next word, which is not quoted.
func (p *parser) word() (string, error) {
	f, err := p.next()
	if err == nil && f.Quoted {
		err = errQuoted
	}
	return f.Text, err
}

// word makes the parse of a kind from a function that appends the wire form of one word.
func word(wire func(dst []byte, text string) ([]byte, error)) func(p *parser) error {
	return func(p *parser) error {
		text, err := p.word()
		if err == nil {
			p.data, err = wire(p.data, text)
		}
		return err
	}
}

// words is word for all words that are left, as one word.
func words(wire func(dst []byte, text string) ([]byte, error)) func(p *parser) error {
	return func(p *parser) error {
		var text []byte
		for len(p.fields) > 0 {
			word, err := p.word()
			if err != nil {
				return err
			}
			text = append(text, word...)
		}
		var err error
		p.data, err = wire(p.data, string(text))
		return err
	}
}

// fixed is the check of a field of n octets.
func fixed(n int) func(data []byte) (int, error) {
	return func(data []byte) (int, error) {
		if len(data) < n {
			return 0, errTruncated
		}
		return n, nil
	}
}

// remaining is the check of a field up to the end of the data, of at least atLeast octets.
func remaining(atLeast int) func(data []byte) (int, error) {
	return func(data []byte) (int, error) {
		switch {
		case atLeast > 0 && len(data) == 0:
			return 0, errMissing
		case len(data) < atLeast:
			return 0, fmt.Errorf("%d octets, at least %d are needed", len(data), atLeast)
		}
		return len(data), nil
	}
}

// checkCounted checks octets behind an octet with their number.
func checkCounted(data []byte) (int, error) {
	if len(data) == 0 || len(data) < 1+int(data[0]) {
		return 0, errTruncated
	}
	return 1 + int(data[0]), nil
}

// appendCounted appends an octet with the number of octets that wire appends, and these octets.
func appendCounted(dst []byte, wire func(dst []byte) ([]byte, error)) ([]byte, error) {
	start := len(dst)
	dst, err := wire(append(dst, 0))
	n := len(dst) - start - 1
	if err == nil && n > 255 {
		err = errors.New("more than 255 octets")
	}
	dst[start] = byte(n)
	return dst, err
}

// list is fields of one kind up to the end of the data, from atLeast to atMost.
func list(k kind, atLeast, atMost int) kind {
	return kind{
		parse: func(p *parser) error {
			for n := 0; n < atLeast || n < atMost && len(p.fields) > 0; n++ {
				if err := k.parse(p); err != nil {
					return err
				}
			}
			return nil
		},
		check: func(data []byte) (int, error) {
			end := 0
			for n := 0; n < atLeast || n < atMost && end < len(data); n++ {
				if end == len(data) {
					return 0, errMissing
				}
				size, err := k.check(data[end:])
				if err != nil {
					return 0, err
				}
				end += size
			}
			return end, nil
		},
		text: func(dst, data []byte) []byte {
			for i := 0; i < len(data); {
				if i > 0 {
					dst = append(dst, ' ')
				}
				n, _ := k.check(data[i:])
				if dst = k.text(dst, data[i:i+n]); dst == nil {
					return nil
				}
				i += n
			}
			return dst
		},
	}
}

const many = maxData // the largest number of members of a list
