package rdata

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

var (
	errHex    = errors.New("not pairs of hexadecimal digits")
	errBase64 = errors.New("not base64 with its padding (RFC 4648 section 4)")
)

// joinWords returns the words that are left, as one text.
func (p *parser) joinWords() ([]byte, error) {
	var text []byte
	for len(p.fields) > 0 {
		word, err := p.word()
		if err != nil {
			return nil, err
		}
		text = append(text, word...)
	}
	return text, nil
}

func parseHex(p *parser) error {
	text, err := p.joinWords()
	if err != nil {
		return err
	}
	if p.data, err = hex.AppendDecode(p.data, text); err != nil {
		return errHex
	}
	return nil
}

// appendBase64 appends what text stands for: whole groups of four characters, and no other bits in
// the last group than the padding allows.
func appendBase64(dst, text []byte) ([]byte, error) {
	for _, c := range text {
		if c == '\r' || c == '\n' { // the decoder skips both
			return dst, errBase64
		}
	}
	dst, err := base64.StdEncoding.Strict().AppendDecode(dst, text)
	if err != nil {
		return dst, errBase64
	}
	return dst, nil
}

// remaining checks that at least atLeast octets are left.
func remaining(atLeast int) func(data []byte, at int) (int, error) {
	return func(data []byte, at int) (int, error) {
		switch {
		case atLeast > 0 && at == len(data):
			return 0, errMissing
		case len(data)-at < atLeast:
			return 0, fmt.Errorf("%d octets, at least %d are needed", len(data)-at, atLeast)
		}
		return len(data), nil
	}
}

// octets are the octets up to the end of the data, at least atLeast, in words of hexadecimal digits.
func octets(atLeast int) kind {
	return kind{
		form:  "hexadecimal",
		parse: parseHex,
		check: remaining(atLeast),
		text:  func(dst, data []byte, at, end int) []byte { return appendHex(dst, data[at:end]) },
	}
}

// base64Octets are the octets up to the end of the data, at least atLeast, in words of base64.
func base64Octets(atLeast int) kind {
	return kind{
		form: "base64",
		parse: func(p *parser) error {
			text, err := p.joinWords()
			if err == nil {
				p.data, err = appendBase64(p.data, text)
			}
			return err
		},
		check: remaining(atLeast),
		text: func(dst, data []byte, at, end int) []byte {
			return base64.StdEncoding.AppendEncode(dst, data[at:end])
		},
	}
}

// object is the data of a DOA record: base64, or a hyphen for no data (draft-durand-doa-over-dns).
var object = func() kind {
	k := base64Octets(0)
	parse, text := k.parse, k.text
	k.form = "base64, or - for nothing"
	k.parse = func(p *parser) error {
		if len(p.fields) == 0 {
			return errMissing
		}
		if len(p.fields) == 1 && p.fields[0] == (Field{Text: "-"}) {
			p.fields = nil
			return nil
		}
		return parse(p)
	}
	k.text = func(dst, data []byte, at, end int) []byte {
		if at == end {
			return append(dst, '-')
		}
		return text(dst, data, at, end)
	}
	return k
}()

// counted appends an octet with the number of octets, and the octets that decode appends.
func (p *parser) counted(decode func(dst []byte) ([]byte, error)) error {
	start := len(p.data)
	var err error
	if p.data, err = decode(append(p.data, 0)); err != nil {
		return err
	}
	n := len(p.data) - start - 1
	if n > 255 {
		return errors.New("more than 255 octets")
	}
	p.data[start] = byte(n)
	return nil
}

// salt is octets behind their number, as a word of hexadecimal digits, or a hyphen for none (RFC 5155
// section 3.3).
var salt = kind{
	form: "hexadecimal word, or -",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		if text == "-" {
			p.data = append(p.data, 0)
			return nil
		}
		if text == "" {
			return errEmpty
		}
		return p.counted(func(dst []byte) ([]byte, error) {
			dst, err := hex.AppendDecode(dst, []byte(text))
			if err != nil {
				err = errHex
			}
			return dst, err
		})
	},
	check: checkCounted,
	text: func(dst, data []byte, at, end int) []byte {
		if end == at+1 {
			return append(dst, '-')
		}
		return appendHex(dst, data[at+1:end])
	},
}

var base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// hash is octets behind their number, as a word of base32 with the extended hex alphabet, without
// padding (RFC 5155 section 3.3).
var hash = kind{
	form: "base32 word",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		return p.counted(func(dst []byte) ([]byte, error) {
			upper := []byte(text)
			for i, c := range upper {
				if 'a' <= c && c <= 'z' {
					upper[i] = c - 'a' + 'A'
				}
			}
			start := len(dst)
			dst, err := base32Hex.AppendDecode(dst, upper)
			// The decoder takes other bits behind the last octet than zeros, and skips line ends.
			if err != nil || base32Hex.EncodeToString(dst[start:]) != string(upper) {
				return dst, errors.New("not base32 with the extended hex alphabet (RFC 5155 section 3.3)")
			}
			return dst, nil
		})
	},
	check: func(data []byte, at int) (int, error) {
		end, err := checkCounted(data, at)
		if err == nil && end == at+1 {
			err = errEmpty
		}
		return end, err
	},
	text: func(dst, data []byte, at, end int) []byte { return base32Hex.AppendEncode(dst, data[at+1:end]) },
}

// hostIdentity is the beginning of a HIP record. In wire: the length of the tag (HIT), the algorithm,
// the length of the key in 16 bits, tag, key. In text: algorithm, tag in hexadecimal, key in base64,
// each a word (RFC 8005 sections 5 and 6).
var hostIdentity = kind{
	form: "algorithm, hexadecimal word, base64 word",
	parse: func(p *parser) error {
		algorithm, err := p.word()
		if err != nil {
			return err
		}
		n, err := parseNumber(algorithm, 255)
		if err != nil {
			return err
		}
		tag, err := p.word()
		if err != nil {
			return err
		}
		key, err := p.word()
		if err != nil {
			return err
		}
		start := len(p.data)
		p.data = append(p.data, 0, byte(n), 0, 0)
		if p.data, err = hex.AppendDecode(p.data, []byte(tag)); err != nil {
			return errHex
		}
		tagLength := len(p.data) - start - 4
		if p.data, err = appendBase64(p.data, []byte(key)); err != nil {
			return err
		}
		keyLength := len(p.data) - start - 4 - tagLength
		if tagLength > 255 || keyLength > maxData {
			return errors.New("a tag of more than 255 octets, or a key of more than 65535")
		}
		p.data[start] = byte(tagLength)
		p.data[start+2], p.data[start+3] = byte(keyLength>>8), byte(keyLength)
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		if len(data)-at < 4 {
			return 0, errTruncated
		}
		tagLength, keyLength := int(data[at]), int(readUint(data[at+2:at+4]))
		if tagLength == 0 || keyLength == 0 {
			return 0, errEmpty
		}
		end := at + 4 + tagLength + keyLength
		if end > len(data) {
			return 0, errTruncated
		}
		return end, nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		tag := data[at+4:][:data[at]]
		dst = u8.text(dst, data, at+1, at+2)
		dst = appendHex(append(dst, ' '), tag)
		return base64.StdEncoding.AppendEncode(append(dst, ' '), data[at+4+len(tag):end])
	},
}
