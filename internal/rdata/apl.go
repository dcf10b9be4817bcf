package rdata

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// addressPrefixes are the items of an APL record: [!]family:address/prefix in text, and in wire the
// family, the prefix length, the negation bit with the length of the address, and the address without
// the octets of zeros at its end (RFC 3123 sections 4 and 5). An address may have bits behind its
// prefix, as in BIND, NSD and Knot.
var addressPrefixes = list(kind{
	form: "address prefix",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		item, negated := strings.CutPrefix(text, "!")
		family, item, _ := strings.Cut(item, ":")
		address, length, found := strings.Cut(item, "/")
		if !found {
			return errors.New("not family:address/prefix (RFC 3123 section 5)")
		}
		var buf [16]byte
		octets, number := buf[:0], byte(0)
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
			return err
		}
		prefix, err := parseNumber(length, uint64(8*len(octets)))
		if err != nil {
			return err
		}
		for len(octets) > 0 && octets[len(octets)-1] == 0 {
			octets = octets[:len(octets)-1]
		}
		n := byte(len(octets))
		if negated {
			n |= 0x80
		}
		p.data = append(append(p.data, 0, number, byte(prefix), n), octets...)
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		if len(data)-at < 4 {
			return 0, errTruncated
		}
		family, prefix, n := binary.BigEndian.Uint16(data[at:]), int(data[at+2]), int(data[at+3]&0x7f)
		end := at + 4 + n
		if end > len(data) {
			return 0, errTruncated
		}
		if n > 0 && data[end-1] == 0 {
			return 0, errors.New("an address that ends in an octet of zeros (RFC 3123 section 4)")
		}
		if size := map[uint16]int{1: 4, 2: 16}[family]; size > 0 && (n > size || prefix > 8*size) {
			return 0, errors.New("an address or a prefix length that is too long")
		}
		return end, nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		var octets [16]byte
		copy(octets[:], data[at+4:end])
		if data[at+3]&0x80 != 0 {
			dst = append(dst, '!')
		}
		switch binary.BigEndian.Uint16(data[at:]) {
		case 1:
			dst = netip.AddrFrom4([4]byte(octets[:4])).AppendTo(append(dst, "1:"...))
		case 2:
			dst = netip.AddrFrom16(octets).AppendTo(append(dst, "2:"...))
		default:
			return nil // other families have no text
		}
		return strconv.AppendInt(append(dst, '/'), int64(data[at+2]), 10)
	},
}, 0)
