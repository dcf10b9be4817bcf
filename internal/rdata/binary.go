package rdata

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// decodeHex appends the octets of pairs of hexadecimal digits.
func decodeHex(dst []byte, text string) ([]byte, error) {
	dst, err := hex.AppendDecode(dst, []byte(text))
	if err != nil {
		err = errors.New("not pairs of hexadecimal digits")
	}
	return dst, err
}

func appendHex(dst, data []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range data {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// decodeBase64 appends the octets of base64: whole groups of four characters, and no other bits in
// the last group than its octets have.
func decodeBase64(dst []byte, text string) ([]byte, error) {
	dst, err := base64.StdEncoding.Strict().AppendDecode(dst, []byte(text))
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder skips line ends
		err = errors.New("not base64 with its padding (RFC 4648 section 4)")
	}
	return dst, err
}

func appendBase64(dst, data []byte) []byte { return base64.StdEncoding.AppendEncode(dst, data) }

// hexadecimal is the octets up to the end of the data, at least atLeast, in any number of words.
func hexadecimal(atLeast int) kind {
	return kind{words(decodeHex), remaining(atLeast), appendHex}
}

// base64Octets is the octets up to the end of the data, at least atLeast, in any number of words.
func base64Octets(atLeast int) kind {
	return kind{words(decodeBase64), remaining(atLeast), appendBase64}
}

// object is the data of a DOA record: base64, or a hyphen for no data (draft-durand-doa-over-dns).
var object = kind{
	parse: func(p *parser) error {
		if len(p.fields) == 0 {
			return errMissing
		}
		return words(func(dst []byte, text string) ([]byte, error) {
			if text == "-" {
				return dst, nil
			}
			return decodeBase64(dst, text)
		})(p)
	},
	check: remaining(0),
	text: func(dst, data []byte) []byte {
		if len(data) == 0 {
			return append(dst, '-')
		}
		return appendBase64(dst, data)
	},
}

// salt is octets behind their number, as a word of hexadecimal digits, or a hyphen for none (RFC 5155
// section 3.3).
var salt = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		if text == "-" {
			return append(dst, 0), nil
		}
		return appendCounted(dst, func(dst []byte) ([]byte, error) { return decodeHex(dst, text) })
	}),
	check: checkCounted,
	text: func(dst, data []byte) []byte {
		if len(data) == 1 {
			return append(dst, '-')
		}
		return appendHex(dst, data[1:])
	},
}

var base32Hex = base32.HexEncoding.WithPadding(base32.NoPadding)

// hash is octets behind their number, as a word of base32 with the extended hex alphabet, without
// padding (RFC 5155 section 3.3).
var hash = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		return appendCounted(dst, func(dst []byte) ([]byte, error) {
			start, upper := len(dst), strings.ToUpper(text)
			dst, err := base32Hex.AppendDecode(dst, []byte(upper))
			// The decoder skips line ends, and ignores other bits than the octets have.
			if err != nil || base32Hex.EncodeToString(dst[start:]) != upper {
				err = errors.New("not base32 with the extended hex alphabet (RFC 5155 section 3.3)")
			}
			return dst, err
		})
	}),
	check: func(data []byte) (int, error) {
		n, err := checkCounted(data)
		if n == 1 {
			err = errEmpty
		}
		return n, err
	},
	text: func(dst, data []byte) []byte { return base32Hex.AppendEncode(dst, data[1:]) },
}

// hostIdentity is the beginning of a HIP record. In wire: the length of the tag (HIT), the algorithm,
// the length of the key in 16 bits, tag, key. In text: algorithm, tag in hexadecimal, key in base64,
// each a word (RFC 8005 sections 5 and 6).
var hostIdentity = kind{
	parse: func(p *parser) error {
		start := len(p.data)
		p.data = append(p.data, 0)
		if err := u8.parse(p); err != nil {
			return err
		}
		p.data = append(p.data, 0, 0)
		if err := word(decodeHex)(p); err != nil {
			return err
		}
		tagEnd := len(p.data)
		if err := word(decodeBase64)(p); err != nil {
			return err
		}
		tagLength, keyLength := tagEnd-start-4, len(p.data)-tagEnd
		if tagLength > 255 || keyLength > maxData {
			return errors.New("a tag of more than 255 octets, or a key of more than 65535")
		}
		p.data[start] = byte(tagLength)
		binary.BigEndian.PutUint16(p.data[start+2:], uint16(keyLength))
		return nil
	},
	check: func(data []byte) (int, error) {
		if len(data) < 4 {
			return 0, errTruncated
		}
		tagLength, keyLength := int(data[0]), int(binary.BigEndian.Uint16(data[2:]))
		if tagLength == 0 || keyLength == 0 {
			return 0, errEmpty
		}
		return fixed(4 + tagLength + keyLength)(data)
	},
	text: func(dst, data []byte) []byte {
		tag, key := data[4:4+data[0]], data[4+int(data[0]):]
		dst = append(appendDecimal(dst, data[1:2]), ' ')
		dst = append(appendHex(dst, tag), ' ')
		return appendBase64(dst, key)
	},
}
