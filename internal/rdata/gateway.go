package rdata

import "errors"

// gateway is the gateway of an IPSECKEY record (RFC 4025 section 2.5) or the relay of an AMTRELAY
// record (RFC 8777 section 4.2.4). Its form follows from the type in the second octet of the data,
// of which mask has the bits: 0 nothing (. in text), 1 an IPv4 address, 2 an IPv6 address, 3 a name.
func gateway(mask byte) kind {
	forms := [...]kind{
		{
			parse: func(p *parser) error {
				text, err := p.word()
				if err == nil && text != "." {
					err = errors.New("with gateway type 0, only . is possible")
				}
				return err
			},
			check: func(data []byte, at int) (int, error) { return at, nil },
			text:  func(dst, data []byte, at, end int) []byte { return append(dst, '.') },
		},
		ipv4, ipv6, domain,
	}
	return kind{
		form: "., IPv4 address, IPv6 address or name",
		parse: func(p *parser) error {
			t := p.data[1] & mask
			if int(t) >= len(forms) {
				return errors.New("the gateway type is none from 0 to 3")
			}
			return forms[t].parse(p)
		},
		check: func(data []byte, at int) (int, error) {
			t := data[1] & mask
			if int(t) < len(forms) {
				return forms[t].check(data, at)
			}
			if mask != 0xff { // RFC 8777 section 4.2.3 leaves other types to the future
				return len(data), nil
			}
			return 0, errors.New("the gateway type is none from 0 to 3 (RFC 4025 section 2.3)")
		},
		text: func(dst, data []byte, at, end int) []byte {
			t := data[1] & mask
			if int(t) >= len(forms) {
				return nil
			}
			return forms[t].text(dst, data, at, end)
		},
	}
}

// discovery is the D bit and the type of a relay: two words in text, one octet in wire (RFC 8777
// section 4.2).
var discovery = kind{
	form: "0 or 1, relay type",
	parse: func(p *parser) error {
		var octet byte
		for _, field := range [...]struct {
			max   uint64
			shift int
		}{{1, 7}, {127, 0}} {
			text, err := p.word()
			if err != nil {
				return err
			}
			n, err := parseNumber(text, field.max)
			if err != nil {
				return err
			}
			octet |= byte(n) << field.shift
		}
		p.data = append(p.data, octet)
		return nil
	},
	check: fixed(1),
	text: func(dst, data []byte, at, end int) []byte {
		dst = append(dst, '0'+data[at]>>7, ' ')
		return u8.text(dst, []byte{data[at] & 0x7f}, 0, 1)
	},
}

var (
	ipsecGateway = gateway(0xff)
	relay        = gateway(0x7f) // the first bit of the octet is the D bit
)
