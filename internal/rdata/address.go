package rdata

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

var (
	errIPv4 = errors.New("not an IPv4 address")
	errIPv6 = errors.New("not an IPv6 address")
)

// appendIPv4 appends the four octets of an address in dotted decimal form, without leading zeros.
func appendIPv4(dst []byte, text string) ([]byte, error) {
	n, digits, dots := 0, 0, 0
	for i := range len(text) {
		c := text[i]
		switch {
		case isDigit(c) && (digits == 0 || n > 0):
			n = n*10 + int(c-'0')
			digits++
			if n > 255 {
				return dst, errIPv4
			}
		case c == '.' && digits > 0 && dots < 3:
			dst = append(dst, byte(n))
			n, digits = 0, 0
			dots++
		default:
			return dst, errIPv4
		}
	}
	if digits == 0 || dots != 3 {
		return dst, errIPv4
	}
	return append(dst, byte(n)), nil
}

func appendIPv6(dst []byte, text string) ([]byte, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return dst, errIPv6
	}
	octets := a.As16()
	return append(dst, octets[:]...), nil
}

func appendAddress(dst, octets []byte) []byte {
	a, _ := netip.AddrFromSlice(octets)
	return a.AppendTo(dst)
}

var (
	ipv4 = kind{word(appendIPv4), fixed(4), appendAddress}
	ipv6 = kind{word(appendIPv6), fixed(16), appendAddress}

	// eui48 and eui64 are pairs of hexadecimal digits with hyphens (RFC 7043 sections 3.2 and 4.2).
	eui48 = groups(6, 1, "-", 2)
	eui64 = groups(8, 1, "-", 2)
	// locator is half of an IPv6 address, without :: (RFC 6742 sections 2.1.2 and 2.3.2).
	locator = groups(4, 2, ":", 1)
)

// groups is a number of groups of hexadecimal digits with separators. A group has size octets, and in
// text at least atLeast digits.
func groups(number, size int, separator string, atLeast int) kind {
	form := fmt.Sprintf("%d groups of hexadecimal digits with %s", number, separator)
	return kind{
		parse: word(func(dst []byte, text string) ([]byte, error) {
			start := len(dst)
			for group := range strings.SplitSeq(text, separator) {
				n, err := strconv.ParseUint(group, 16, 8*size)
				if err != nil || len(group) < atLeast || len(group) > 2*size {
					return dst, errors.New("not " + form)
				}
				dst = appendUint(dst, n, size)
			}
			if len(dst)-start != number*size {
				return dst, errors.New("not " + form)
			}
			return dst, nil
		}),
		check: fixed(number * size),
		text: func(dst, data []byte) []byte {
			for i := 0; i < len(data); i += size {
				if i > 0 {
					dst = append(dst, separator...)
				}
				dst = hex.AppendEncode(dst, data[i:i+size])
			}
			return dst
		},
	}
}

// nsap is an NSAP address: 0x and pairs of hexadecimal digits, with dots anywhere (RFC 1706 section 7).
var nsap = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		digits, found := strings.CutPrefix(strings.ToLower(text), "0x")
		if !found {
			return dst, errors.New("not 0x and hexadecimal digits (RFC 1706 section 7)")
		}
		return decodeHex(dst, strings.ReplaceAll(digits, ".", ""))
	}),
	check: remaining(1),
	text:  func(dst, data []byte) []byte { return appendHex(append(dst, "0x"...), data) },
}

// atma is an ATM address: an octet with the format, and the address. Format 1 is + and decimal digits
// (E.164), format 0 is hexadecimal digits (AESA); both with single dots between digits (ATM Forum
// af-dans-0152).
var atma = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		digits, isNumber := strings.CutPrefix(text, "+")
		if slices.Contains(strings.Split(digits, "."), "") {
			return dst, errors.New("a dot that is not between digits")
		}
		digits = strings.ReplaceAll(digits, ".", "")
		if isNumber {
			return append(append(dst, 1), digits...), nil
		}
		return decodeHex(append(dst, 0), digits)
	}),
	check: func(data []byte) (int, error) {
		switch {
		case len(data) < 2:
			return 0, errTruncated
		case data[0] > 1 || data[0] == 1 && slices.ContainsFunc(data[1:], func(c byte) bool { return !isDigit(c) }):
			return 0, errors.New("neither + and digits nor hexadecimal digits")
		}
		return len(data), nil
	},
	text: func(dst, data []byte) []byte {
		if data[0] == 1 {
			return append(append(dst, '+'), data[1:]...)
		}
		return appendHex(dst, data[1:])
	},
}

// prefixed is all of an A6 record: the prefix length, the octets of an IPv6 address behind the prefix
// unless the length is 128, and the name with the prefix unless the length is 0 (RFC 2874 section 3.1).
var prefixed = kind{
	parse: func(p *parser) error {
		start := len(p.data)
		if err := u8.parse(p); err != nil {
			return err
		}
		prefix := int(p.data[start])
		if prefix < 128 {
			if err := ipv6.parse(p); err != nil {
				return err
			}
			p.data = slices.Delete(p.data, start+1, start+1+prefix/8)
			p.data[start+1] &= 0xff >> (prefix % 8)
		}
		if prefix == 0 {
			return nil
		}
		return domain.parse(p)
	},
	check: func(data []byte) (int, error) {
		if len(data) == 0 {
			return 0, errTruncated
		}
		prefix := int(data[0])
		if prefix > 128 {
			return 0, errors.New("a prefix length above 128 (RFC 2874 section 3.1)")
		}
		n := 1 + 16 - prefix/8
		switch {
		case n > len(data):
			return 0, errTruncated
		case prefix%8 != 0 && data[1]&^(0xff>>(prefix%8)) != 0:
			return 0, errors.New("bits of the prefix are set (RFC 2874 section 3.1)")
		case prefix == 0:
			return n, nil
		}
		nameSize, err := domain.check(data[n:])
		return n + nameSize, err
	},
	text: func(dst, data []byte) []byte {
		prefix := int(data[0])
		dst = appendDecimal(dst, data[:1])
		n := 1 + 16 - prefix/8
		if prefix < 128 {
			var octets [16]byte
			copy(octets[prefix/8:], data[1:n])
			dst = appendAddress(append(dst, ' '), octets[:])
		}
		if prefix > 0 {
			dst = AppendName(append(dst, ' '), data[n:])
		}
		return dst
	},
}
