package rdata

import (
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
)

var errType = errors.New("not a type")

// coveredType is a type, as a mnemonic or TYPE and a number.
var coveredType = kind{
	parse: word(func(dst []byte, text string) ([]byte, error) {
		t, ok := Type(text)
		if !ok {
			return dst, errType
		}
		return binary.BigEndian.AppendUint16(dst, t), nil
	}),
	check: fixed(2),
	text:  func(dst, data []byte) []byte { return AppendType(dst, binary.BigEndian.Uint16(data)) },
}

// parseSet reads the words that are left as numbers of a kind of two octets, and returns the numbers
// in order, each once.
func (p *parser) parseSet(number kind) ([]uint16, error) {
	start := len(p.data)
	var set []uint16
	for len(p.fields) > 0 {
		if err := number.parse(p); err != nil {
			return nil, err
		}
		set = append(set, binary.BigEndian.Uint16(p.data[start:]))
		p.data = p.data[:start]
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// setBit sets a bit in the bitmap at the end of dst that begins at start, and appends the octets that
// the bitmap needs.
func setBit(dst []byte, start int, bit uint16) []byte {
	for len(dst)-start <= int(bit/8) {
		dst = append(dst, 0)
	}
	dst[start+int(bit/8)] |= 0x80 >> (bit % 8)
	return dst
}

// typeBitmap is a set of types: windows of up to 256 types, each with its number, the length of its
// bitmap and the bitmap, without empty windows and without octets of zeros at the end (RFC 4034
// section 4.1.2). atLeast is the least number of types.
func typeBitmap(atLeast int) kind {
	return kind{
		parse: func(p *parser) error {
			set, err := p.parseSet(coveredType)
			if err != nil {
				return err
			}
			window, start := -1, 0
			for _, t := range set {
				if int(t>>8) != window {
					window = int(t >> 8)
					p.data = append(p.data, byte(window), 0)
					start = len(p.data)
				}
				p.data = setBit(p.data, start, t&0xff)
				p.data[start-1] = byte(len(p.data) - start)
			}
			return nil
		},
		check: func(data []byte) (int, error) {
			if atLeast > 0 && len(data) == 0 {
				return 0, errMissing
			}
			last, end := -1, 0
			for end < len(data) {
				window := int(data[end])
				n, err := checkCounted(data[end+1:])
				end += 1 + n
				switch {
				case err != nil:
					return 0, err
				case window <= last:
					return 0, errors.New("windows out of order (RFC 4034 section 4.1.2)")
				case n == 1 || n > 1+32 || data[end-1] == 0:
					return 0, errors.New("a window that is empty, has more than 32 octets, or ends in zeros (RFC 4034 section 4.1.2)")
				}
				last = window
			}
			return end, nil
		},
		text: func(dst, data []byte) []byte {
			start := len(dst)
			for len(data) > 0 {
				window, bits := uint16(data[0]), data[2:2+data[1]]
				dst = appendBits(dst, bits, func(dst []byte, bit int) []byte {
					return AppendType(dst, window<<8|uint16(bit))
				})
				data = data[2+len(bits):]
			}
			return trimSpace(dst, start)
		},
	}
}

// appendBits appends the text of each bit that is set, and a space behind each text.
func appendBits(dst, bits []byte, text func(dst []byte, bit int) []byte) []byte {
	for i, octet := range bits {
		for bit := range 8 {
			if octet&(0x80>>bit) != 0 {
				dst = append(text(dst, 8*i+bit), ' ')
			}
		}
	}
	return dst
}

// trimSpace cuts off a space at the end of what stands in dst from start on.
func trimSpace(dst []byte, start int) []byte {
	if len(dst) > start && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// oldBitmap is the set of types of an NXT record: a bit for each type up to 127. The first bit means
// another form, which is unknown (RFC 2535 section 5.2).
var oldBitmap = kind{
	parse: func(p *parser) error {
		set, err := p.parseSet(coveredType)
		if err != nil {
			return err
		}
		start := len(p.data)
		for _, t := range set {
			if t > 127 {
				return errors.New("a type above TYPE127 (RFC 2535 section 5.2)")
			}
			p.data = setBit(p.data, start, t)
		}
		return nil
	},
	check: func(data []byte) (int, error) {
		n := len(data)
		if n > 0 && (data[0]&0x80 != 0 || n > 16 || data[n-1] == 0) {
			return 0, errors.New("a bitmap that has type 0, has more than 16 octets, or ends in zeros (RFC 2535 section 5.2)")
		}
		return n, nil
	},
	text: func(dst, data []byte) []byte {
		start := len(dst)
		return trimSpace(appendBits(dst, data, func(dst []byte, bit int) []byte { return AppendType(dst, uint16(bit)) }), start)
	},
}

// services are the protocol of a WKS record and the ports, as bits (RFC 1035 section 3.4.2). In text
// both are numbers or names of the oldest services (RFC 1010).
var services = kind{
	parse: func(p *parser) error {
		if err := internetProtocol.parse(p); err != nil {
			return err
		}
		set, err := p.parseSet(servicePort)
		start := len(p.data)
		for _, port := range set {
			p.data = setBit(p.data, start, port)
		}
		return err
	},
	check: func(data []byte) (int, error) {
		n := len(data)
		if n == 0 || n > 1+65536/8 || n > 1 && data[n-1] == 0 {
			return 0, errors.New("no protocol, or a bitmap that has more than 65536 bits or ends in zeros")
		}
		return n, nil
	},
	text: func(dst, data []byte) []byte {
		start := len(dst)
		dst = append(appendDecimal(dst, data[:1]), ' ')
		return trimSpace(appendBits(dst, data[1:], func(dst []byte, port int) []byte {
			return strconv.AppendInt(dst, int64(port), 10)
		}), start)
	},
}

var (
	internetProtocol = number(1, map[string]uint64{"ICMP": 1, "TCP": 6, "UDP": 17})
	servicePort      = number(2, map[string]uint64{
		"TCPMUX": 1, "ECHO": 7, "DISCARD": 9, "SYSTAT": 11, "DAYTIME": 13, "QOTD": 17, "CHARGEN": 19, "FTP-DATA": 20,
		"FTP": 21, "SSH": 22, "TELNET": 23, "SMTP": 25, "TIME": 37, "WHOIS": 43, "DOMAIN": 53, "BOOTPS": 67, "BOOTPC": 68,
		"TFTP": 69, "GOPHER": 70, "FINGER": 79, "HTTP": 80, "POP2": 109, "POP3": 110, "SUNRPC": 111, "NNTP": 119,
		"NTP": 123, "IMAP2": 143, "SNMP": 161,
	})
)
