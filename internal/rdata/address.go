package rdata

import (
	"encoding/hex"
	"errors"
	"net/netip"
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
	ipv4 = kind{
		form: "IPv4 address",
		parse: func(p *parser) error {
			text, err := p.word()
			if err == nil {
				p.data, err = appendIPv4(p.data, text)
			}
			return err
		},
		check: fixed(4),
		text:  func(dst, data []byte, at, end int) []byte { return appendAddress(dst, data[at:end]) },
	}
	ipv6 = kind{
		form: "IPv6 address",
		parse: func(p *parser) error {
			text, err := p.word()
			if err == nil {
				p.data, err = appendIPv6(p.data, text)
			}
			return err
		},
		check: fixed(16),
		text:  func(dst, data []byte, at, end int) []byte { return appendAddress(dst, data[at:end]) },
	}
)

// eui is size octets as pairs of hexadecimal digits with hyphens (RFC 7043 section 3.2 and 4.2).
func eui(size int) kind {
	return kind{
		form: strconv.Itoa(size) + " pairs of hexadecimal digits with -",
		parse: func(p *parser) error {
			text, err := p.word()
			if err != nil {
				return err
			}
			for i := range len(text) {
				if (text[i] == '-') != (i%3 == 2) {
					return errors.New("not pairs of hexadecimal digits with hyphens between them")
				}
			}
			start := len(p.data)
			if p.data, err = hex.AppendDecode(p.data, []byte(strings.ReplaceAll(text, "-", ""))); err != nil {
				return errHex
			}
			if len(text) != 3*size-1 || len(p.data)-start != size {
				return errors.New("not " + strconv.Itoa(size) + " pairs of hexadecimal digits")
			}
			return nil
		},
		check: fixed(size),
		text: func(dst, data []byte, at, end int) []byte {
			for i := at; i < end; i++ {
				if i > at {
					dst = append(dst, '-')
				}
				dst = hex.AppendEncode(dst, data[i:i+1])
			}
			return dst
		},
	}
}

// locator is 64 bits as four groups of one to four hexadecimal digits with colons, as the half of an
// IPv6 address without :: (RFC 6742 sections 2.1.2 and 2.3.2).
var locator = kind{
	form: "four groups of hexadecimal digits",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		groups := 0
		for group := range strings.SplitSeq(text, ":") {
			n, err := strconv.ParseUint(group, 16, 16)
			if err != nil || len(group) > 4 || groups == 4 {
				return errors.New("not four groups of hexadecimal digits (RFC 6742 section 2.1.2)")
			}
			groups++
			p.data = appendUint(p.data, n, 2)
		}
		if groups != 4 {
			return errors.New("not four groups of hexadecimal digits (RFC 6742 section 2.1.2)")
		}
		return nil
	},
	check: fixed(8),
	text: func(dst, data []byte, at, end int) []byte {
		for i := at; i < end; i += 2 {
			if i > at {
				dst = append(dst, ':')
			}
			dst = hex.AppendEncode(dst, data[i:i+2])
		}
		return dst
	},
}

// nsap is an NSAP address: 0x and pairs of hexadecimal digits, with dots anywhere (RFC 1706 section 7).
var nsap = kind{
	form: "0x and hexadecimal digits",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		digits, found := strings.CutPrefix(strings.ToLower(text), "0x")
		if !found {
			return errors.New("not 0x and hexadecimal digits (RFC 1706 section 7)")
		}
		if p.data, err = hex.AppendDecode(p.data, []byte(strings.ReplaceAll(digits, ".", ""))); err != nil {
			return errHex
		}
		return nil
	},
	check: octets(1).check,
	text: func(dst, data []byte, at, end int) []byte {
		return appendHex(append(dst, "0x"...), data[at:end])
	},
}

// atma is an ATM address: an octet with the format, and the address. Format 1 is + and decimal digits
// (E.164), format 0 is hexadecimal digits (AESA); both with dots anywhere (ATM Forum af-dans-0152).
var atma = kind{
	form: "ATM address",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		text = strings.ReplaceAll(text, ".", "")
		if number, ok := strings.CutPrefix(text, "+"); ok {
			p.data = append(append(p.data, 1), number...)
			return nil
		}
		if p.data, err = hex.AppendDecode(append(p.data, 0), []byte(text)); err != nil {
			return errHex
		}
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		if len(data)-at < 2 {
			return 0, errTruncated
		}
		if data[at] > 1 {
			return 0, errors.New("an unknown format of address")
		}
		for _, c := range data[at+1:] {
			if data[at] == 1 && !isDigit(c) {
				return 0, errors.New("not a decimal number")
			}
		}
		return len(data), nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		if data[at] == 1 {
			return append(append(dst, '+'), data[at+1:end]...)
		}
		return appendHex(dst, data[at+1:end])
	},
}

// prefixAddress is the address of an A6 record: the prefix length, which is in the octet before, tells
// how many octets at the end of an IPv6 address follow (RFC 2874 section 3.1).
var prefixAddress = kind{
	form: "IPv6 address, if the prefix length is below 128",
	parse: func(p *parser) error {
		prefix := p.data[len(p.data)-1]
		if prefix > 127 {
			return nil // check refuses a prefix length above 128
		}
		text, err := p.word()
		if err != nil {
			return err
		}
		start := len(p.data)
		if p.data, err = appendIPv6(p.data, text); err != nil {
			return err
		}
		p.data = append(p.data[:start], p.data[start+int(prefix)/8:]...)
		p.data[start] &= 0xff >> (prefix % 8)
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		prefix := int(data[at-1])
		if prefix > 128 {
			return 0, errors.New("a prefix length above 128 (RFC 2874 section 3.1)")
		}
		end := at + 16 - prefix/8
		if end > len(data) {
			return 0, errTruncated
		}
		if prefix%8 != 0 && data[at]&^(0xff>>(prefix%8)) != 0 {
			return 0, errors.New("bits of the prefix are set (RFC 2874 section 3.1)")
		}
		return end, nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		if at == end {
			return dst
		}
		var octets [16]byte
		copy(octets[16-(end-at):], data[at:end])
		return appendAddress(dst, octets[:])
	},
}

// prefixName is the name of an A6 record, which is missing if the prefix length, the first octet of
// the data, is 0 (RFC 2874 section 3.1).
var prefixName = kind{
	form: "name, if the prefix length is not 0",
	parse: func(p *parser) error {
		if p.data[0] == 0 {
			return nil
		}
		return domain.parse(p)
	},
	check: func(data []byte, at int) (int, error) {
		if data[0] == 0 {
			return at, nil
		}
		return domain.check(data, at)
	},
	text: func(dst, data []byte, at, end int) []byte {
		if at == end {
			return dst
		}
		return domain.text(dst, data, at, end)
	},
}
