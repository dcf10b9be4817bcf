package rdata

import "errors"

// gatewayForms are the forms of a gateway by its type: nothing (. in text), IPv4 address, IPv6
// address, name (RFC 4025 section 2.5; RFC 8777 section 4.2.4).
var gatewayForms = [...]kind{
	{
		parse: word(func(dst []byte, text string) ([]byte, error) {
			if text != "." {
				return dst, errors.New("type 0 is followed by a dot")
			}
			return dst, nil
		}),
		check: fixed(0),
		text:  func(dst, _ []byte) []byte { return append(dst, '.') },
	},
	ipv4, ipv6, domain,
}

// twoNumbers are the words before a gateway: type and algorithm, or D bit and type.
var twoNumbers = list(u8, 2, 2)

var errGatewayType = errors.New("the type is none from 0 to 3")

// gateway is the type, the algorithm of the key, and the gateway of an IPSECKEY record (RFC 4025
// section 2.1).
var gateway = kind{
	parse: func(p *parser) error {
		start := len(p.data)
		if err := twoNumbers.parse(p); err != nil {
			return err
		}
		if t := int(p.data[start]); t < len(gatewayForms) {
			return gatewayForms[t].parse(p)
		}
		return errGatewayType
	},
	check: func(data []byte) (int, error) {
		if len(data) < 2 {
			return 0, errTruncated
		}
		if int(data[0]) >= len(gatewayForms) {
			return 0, errGatewayType
		}
		n, err := gatewayForms[data[0]].check(data[2:])
		return 2 + n, err
	},
	text: func(dst, data []byte) []byte {
		dst = append(twoNumbers.text(dst, data[:2]), ' ')
		return gatewayForms[data[0]].text(dst, data[2:])
	},
}

// relay is the D bit, the type and the relay of an AMTRELAY record. The D bit and the type share one
// octet; a relay of another type than 0 to 3 is any octets, and has no text form (RFC 8777 section 4.2).
var relay = kind{
	parse: func(p *parser) error {
		start := len(p.data)
		if err := twoNumbers.parse(p); err != nil {
			return err
		}
		discovery, t := p.data[start], p.data[start+1]
		if discovery > 1 {
			return errors.New("the D bit is neither 0 nor 1 (RFC 8777 section 4.2.2)")
		}
		p.data = append(p.data[:start], discovery<<7|t)
		if int(t) < len(gatewayForms) {
			return gatewayForms[t].parse(p)
		}
		return errGatewayType
	},
	check: func(data []byte) (int, error) {
		if len(data) == 0 {
			return 0, errTruncated
		}
		t := int(data[0] & 0x7f)
		if t >= len(gatewayForms) {
			return len(data), nil
		}
		n, err := gatewayForms[t].check(data[1:])
		return 1 + n, err
	},
	text: func(dst, data []byte) []byte {
		t := int(data[0] & 0x7f)
		if t >= len(gatewayForms) {
			return nil
		}
		dst = append(dst, '0'+data[0]>>7, ' ', '0'+byte(t), ' ')
		return gatewayForms[t].text(dst, data[1:])
	},
}
