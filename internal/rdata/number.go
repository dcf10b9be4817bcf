package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// parseNumber returns a number of decimal digits, up to max.
func parseNumber(text string, max uint64) (uint64, error) {
	n := uint64(0)
	for i := range len(text) {
		if !isDigit(text[i]) {
			return 0, fmt.Errorf("not a number from 0 to %d", max)
		}
		d := uint64(text[i] - '0')
		if n > (max-d)/10 {
			return 0, fmt.Errorf("above %d", max)
		}
		n = n*10 + d
	}
	if text == "" {
		return 0, fmt.Errorf("not a number from 0 to %d", max)
	}
	return n, nil
}

// appendUint appends n in size octets.
func appendUint(dst []byte, n uint64, size int) []byte {
	for i := size - 1; i >= 0; i-- {
		dst = append(dst, byte(n>>(8*i)))
	}
	return dst
}

func readUint(data []byte) uint64 {
	n := uint64(0)
	for _, c := range data {
		n = n<<8 | uint64(c)
	}
	return n
}

// number is an unsigned number of size octets. In text, mnemonics stand for numbers, in upper or
// lower case.
func number(size int, mnemonics map[string]uint64) kind {
	max := uint64(1)<<(8*size) - 1
	return kind{
		parse: word(func(dst []byte, text string) ([]byte, error) {
			n, err := parseNumber(text, max)
			if err != nil && mnemonics != nil {
				known := false
				if n, known = mnemonics[strings.ToUpper(text)]; !known {
					return dst, fmt.Errorf("no mnemonic, and %w", err)
				}
				err = nil
			}
			return appendUint(dst, n, size), err
		}),
		check: fixed(size),
		text:  appendDecimal,
	}
}

func appendDecimal(dst, data []byte) []byte { return strconv.AppendUint(dst, readUint(data), 10) }

var (
	u8  = number(1, nil)
	u16 = number(2, nil)
	u32 = number(4, nil)
	u64 = number(8, nil)

	// algorithm is an algorithm of DNSSEC (IANA, DNS Security Algorithm Numbers; and the names of BIND).
	algorithm = number(1, map[string]uint64{
		"RSAMD5": 1, "DH": 2, "DSA": 3, "ECC": 4, "RSASHA1": 5, "DSA-NSEC3-SHA1": 6, "NSEC3DSA": 6,
		"RSASHA1-NSEC3-SHA1": 7, "NSEC3RSASHA1": 7, "RSASHA256": 8, "RSASHA512": 10, "ECC-GOST": 12, "ECCGOST": 12,
		"ECDSAP256SHA256": 13, "ECDSAP384SHA384": 14, "ED25519": 15, "ED448": 16, "SM2SM3": 17, "ECC-GOST12": 23,
		"INDIRECT": 252, "PRIVATEDNS": 253, "PRIVATEOID": 254,
	})
	// certificateType is the type of a certificate (RFC 4398 section 2.1).
	certificateType = number(2, map[string]uint64{
		"PKIX": 1, "SPKI": 2, "PGP": 3, "IPKIX": 4, "ISPKI": 5, "IPGP": 6, "ACPKIX": 7, "IACPKIX": 8, "URI": 253, "OID": 254,
	})
	// scheme is the scheme of a DSYNC record (RFC 9859 section 2.1).
	scheme = number(1, map[string]uint64{"NOTIFY": 1})
	// keyFlags are the flags of keys, of which a word may name one (RFC 2535 section 7.1).
	keyFlags = number(2, map[string]uint64{
		"NOCONF": 0x4000, "NOAUTH": 0x8000, "NOKEY": 0xc000, "USER": 0, "ZONE": 0x100, "HOST": 0x200,
	})
	// keyProtocol is the protocol of a key (RFC 2535 section 3.1.3).
	keyProtocol = number(1, map[string]uint64{"NONE": 0, "TLS": 1, "EMAIL": 2, "DNSSEC": 3, "IPSEC": 4, "ALL": 255})
)

// ParseTTL returns a time in seconds: a number, or numbers with the units w, d, h, m and s in upper
// or lower case, as 1h30m (BIND). The largest is 4294967295.
func ParseTTL(text string) (uint32, error) {
	const max = 1<<32 - 1
	total, n, digits, units := uint64(0), uint64(0), 0, 0
	for i := range len(text) {
		c := text[i]
		if isDigit(c) {
			n = n*10 + uint64(c-'0')
			digits++
			if n > max {
				return 0, fmt.Errorf("above %d seconds", uint64(max))
			}
			continue
		}
		unit := uint64(0)
		switch c | 0x20 {
		case 'w':
			unit = 7 * 24 * 3600
		case 'd':
			unit = 24 * 3600
		case 'h':
			unit = 3600
		case 'm':
			unit = 60
		case 's':
			unit = 1
		}
		if unit == 0 || digits == 0 {
			return 0, errors.New("not a time: seconds, or numbers with the units w, d, h, m and s")
		}
		total += n * unit
		n, digits = 0, 0
		units++
		if total > max {
			return 0, fmt.Errorf("above %d seconds", uint64(max))
		}
	}
	if text == "" || digits > 0 && units > 0 { // nothing, or digits without a unit behind a unit
		return 0, errors.New("not a time: seconds, or numbers with the units w, d, h, m and s")
	}
	return uint32(total + n), nil
}

// seconds is a time in seconds, of 32 bits.
var seconds = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		n, err := ParseTTL(text)
		return binary.BigEndian.AppendUint32(dst, n), err
	}),
	check: fixed(4),
	text:  appendDecimal,
}

const timestampLayout = "20060102150405"

// timestamp is a point of time from 1970 to 2106: YYYYMMDDHHmmSS in UTC, or the seconds since 1970
// (RFC 4034 section 3.2).
var timestamp = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		if len(text) != len(timestampLayout) {
			n, err := parseNumber(text, 1<<32-1)
			return appendUint(dst, n, 4), err
		}
		t, err := time.Parse(timestampLayout, text)
		if err != nil || t.Unix() < 0 || t.Unix() >= 1<<32 {
			return dst, errors.New("not a time YYYYMMDDHHmmSS from 1970 to 2106 (RFC 4034 section 3.2)")
		}
		return appendUint(dst, uint64(t.Unix()), 4), nil
	}),
	check: fixed(4),
	text: func(dst, data []byte) []byte {
		return time.Unix(int64(readUint(data)), 0).UTC().AppendFormat(dst, timestampLayout)
	},
}
