package rdata

import (
	"encoding/binary"
	"errors"
	"strings"
)

// addressPrefixes are the items of an APL record: [!]family:address/prefix in text, and in wire the
// family, the prefix length, the negation bit with the length of the address, and the address without
// the octets of zeros at its end (RFC 3123 sections 4 and 5). An address may have bits behind its
// prefix, as in BIND, NSD and Knot.
var addressPrefixes = list(kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		item, negated := strings.CutPrefix(text, "!")
		family, item, _ := strings.Cut(item, ":")
		address, length, found := strings.Cut(item, "/")
		if !found {
			return dst, errors.New("not family:address/prefix (RFC 3123 section 5)")
		}
		var buf [16]byte
		octets, number, err := buf[:0], byte(0), error(nil)
		switch family {
		case "1":
			number = 1
			octets, err = appendIPv4(octets, address)
		case "2":
			number = 2
			octets, err = appendIPv6(octets, address)
		default:
			err = errors.New("the family is neither 1 (IPv4) nor 2 (IPv6)")
		}
		if err != nil {
			return dst, err
		}
		prefix, err := parseNumber(length, uint64(8*len(octets)))
		if err != nil {
			return dst, err
		}
		for len(octets) > 0 && octets[len(octets)-1] == 0 {
			octets = octets[:len(octets)-1]
		}
		n := byte(len(octets))
		if negated {
			n |= 0x80
		}
		return append(append(dst, 0, number, byte(prefix), n), octets...), nil
	}),
	check: func(data []byte) (int, error) {
		if len(data) < 4 {
			return 0, errTruncated
		}
		family, prefix, n := binary.BigEndian.Uint16(data), int(data[2]), int(data[3]&0x7f)
		size := map[uint16]int{1: 4, 2: 16}[family]
		switch {
		case len(data) < 4+n:
			return 0, errTruncated
		case n > 0 && data[4+n-1] == 0:
			return 0, errors.New("an address that ends in an octet of zeros (RFC 3123 section 4)")
		case size > 0 && (n > size || prefix > 8*size):
			return 0, errors.New("an address or a prefix length that is too long")
		}
		return 4 + n, nil
	},
	text: func(dst, data []byte) []byte {
		var octets [16]byte
		copy(octets[:], data[4:])
		if data[3]&0x80 != 0 {
			dst = append(dst, '!')
		}
		switch binary.BigEndian.Uint16(data) {
		case 1:
			dst = appendAddress(append(dst, "1:"...), octets[:4])
		case 2:
			dst = appendAddress(append(dst, "2:"...), octets[:])
		default:
			return nil // other families have no text
		}
		return appendDecimal(append(dst, '/'), data[2:3])
	},
}, 0, many)
