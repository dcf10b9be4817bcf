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
	form: "type",
	parse: func(p *parser) error {
		text, err := p.word()
		if err != nil {
			return err
		}
		t, ok := Type(text)
		if !ok {
			return errType
		}
		p.data = binary.BigEndian.AppendUint16(p.data, t)
		return nil
	},
	check: fixed(2),
	text: func(dst, data []byte, at, end int) []byte {
		return appendTypeName(dst, binary.BigEndian.Uint16(data[at:]))
	},
}

// parseTypes returns the types of the words that are left, in order, each once.
func (p *parser) parseTypes() ([]uint16, error) {
	var set []uint16
	for len(p.fields) > 0 {
		text, err := p.word()
		if err != nil {
			return nil, err
		}
		t, ok := Type(text)
		if !ok {
			return nil, errType
		}
		set = append(set, t)
	}
	slices.Sort(set)
	return slices.Compact(set), nil
}

// typeBitmap is a set of types: windows of up to 256 types, each with its number, the length of its
// bitmap and the bitmap, without empty windows and without octets of zeros at the end (RFC 4034
// section 4.1.2). atLeast is the least number of types.
func typeBitmap(atLeast int) kind {
	return kind{
		form: "types",
		parse: func(p *parser) error {
			set, err := p.parseTypes()
			if err != nil {
				return err
			}
			window, start := -1, 0
			for _, t := range set {
				if int(t>>8) != window {
					window, start = int(t>>8), len(p.data)
					p.data = append(p.data, byte(window), 0)
				}
				octet := int(t&0xff) / 8
				for len(p.data)-start-2 <= octet {
					p.data = append(p.data, 0)
				}
				p.data[start+1] = byte(octet + 1)
				p.data[start+2+octet] |= 0x80 >> (t % 8)
			}
			return nil
		},
		check: func(data []byte, at int) (int, error) {
			if atLeast > 0 && at == len(data) {
				return 0, errMissing
			}
			for last := -1; at < len(data); {
				if len(data)-at < 2 {
					return 0, errTruncated
				}
				window, n := int(data[at]), int(data[at+1])
				if window <= last {
					return 0, errors.New("windows out of order (RFC 4034 section 4.1.2)")
				}
				if n == 0 || n > 32 {
					return 0, errors.New("a window without types, or of more than 32 octets (RFC 4034 section 4.1.2)")
				}
				last = window
				if at += 2 + n; at > len(data) {
					return 0, errTruncated
				}
				if data[at-1] == 0 {
					return 0, errors.New("a window that ends in zeros (RFC 4034 section 4.1.2)")
				}
			}
			return at, nil
		},
		text: func(dst, data []byte, at, end int) []byte {
			start := len(dst)
			for at < end {
				bits := data[at+2:][:data[at+1]]
				dst = appendBits(dst, bits, func(dst []byte, bit int) []byte {
					return appendTypeName(dst, uint16(data[at])<<8|uint16(bit))
				})
				at += 2 + len(bits)
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
	form: "types up to TYPE127",
	parse: func(p *parser) error {
		set, err := p.parseTypes()
		if err != nil {
			return err
		}
		start := len(p.data)
		for _, t := range set {
			if t > 127 {
				return errors.New("a type above TYPE127 (RFC 2535 section 5.2)")
			}
			for len(p.data)-start <= int(t/8) {
				p.data = append(p.data, 0)
			}
			p.data[start+int(t/8)] |= 0x80 >> (t % 8)
		}
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		n := len(data) - at
		switch {
		case n == 0:
			return at, nil
		case data[at]&0x80 != 0:
			return 0, errors.New("the bit of type 0 is set (RFC 2535 section 5.2)")
		case n > 16 || data[len(data)-1] == 0:
			return 0, errors.New("a bitmap of more than 16 octets, or that ends in zeros (RFC 2535 section 5.2)")
		}
		return len(data), nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		start := len(dst)
		return trimSpace(appendBits(dst, data[at:end], func(dst []byte, bit int) []byte { return appendTypeName(dst, uint16(bit)) }), start)
	},
}

// services are the protocol of a WKS record and the ports, as bits (RFC 1035 section 3.4.2). In text
// both are numbers or names of the oldest services (RFC 1010).
var services = kind{
	form: "protocol, ports",
	parse: func(p *parser) error {
		if err := internetProtocol.parse(p); err != nil {
			return err
		}
		start := len(p.data)
		for len(p.fields) > 0 {
			if err := servicePort.parse(p); err != nil {
				return err
			}
			end := len(p.data) - 2
			port := int(binary.BigEndian.Uint16(p.data[end:]))
			p.data = p.data[:end]
			for len(p.data)-start <= port/8 {
				p.data = append(p.data, 0)
			}
			p.data[start+port/8] |= 0x80 >> (port % 8)
		}
		return nil
	},
	check: func(data []byte, at int) (int, error) {
		if len(data)-at < 1 || len(data)-at > 1+65536/8 {
			return 0, errors.New("no protocol, or more than 65536 ports")
		}
		if len(data)-at > 1 && data[len(data)-1] == 0 {
			return 0, errors.New("a bitmap that ends in zeros")
		}
		return len(data), nil
	},
	text: func(dst, data []byte, at, end int) []byte {
		start := len(dst)
		dst = append(u8.text(dst, data, at, at+1), ' ')
		return trimSpace(appendBits(dst, data[at+1:end], func(dst []byte, port int) []byte {
			return strconv.AppendInt(dst, int64(port), 10)
		}), start)
	},
}

var (
	internetProtocol = number("protocol", 1, map[string]uint64{"ICMP": 1, "TCP": 6, "UDP": 17})
	servicePort      = number("port", 2, map[string]uint64{
		"TCPMUX": 1, "ECHO": 7, "DISCARD": 9, "SYSTAT": 11, "DAYTIME": 13, "QOTD": 17, "CHARGEN": 19, "FTP-DATA": 20,
		"FTP": 21, "SSH": 22, "TELNET": 23, "SMTP": 25, "TIME": 37, "WHOIS": 43, "DOMAIN": 53, "BOOTPS": 67, "BOOTPC": 68,
		"TFTP": 69, "GOPHER": 70, "FINGER": 79, "HTTP": 80, "POP2": 109, "POP3": 110, "SUNRPC": 111, "NNTP": 119,
		"NTP": 123, "IMAP2": 143, "SNMP": 161,
	})
)
