package rdata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Keys of parameters (IANA, DNS Service Parameter Keys).
const (
	keyMandatory     = 0
	keyALPN          = 1
	keyNoDefaultALPN = 2
)

// paramNames are the names of parameters by key. A key that is not here has the name keyNNNNN and any
// value (RFC 9460 section 2.1).
var paramNames = [...]string{
	keyMandatory: "mandatory", keyALPN: "alpn", keyNoDefaultALPN: "no-default-alpn",
	3: "port", 4: "ipv4hint", 5: "ech", 6: "ipv6hint", 7: "dohpath", 8: "ohttp",
}

// paramForm is the form of the value of a parameter. parse and text are nil for a parameter without a
// value; parse gets the value with its escapes decoded.
type paramForm struct {
	parse func(dst []byte, value string) ([]byte, error)
	check func(value []byte) error
	text  func(dst, value []byte) []byte
}

// paramForms are the forms of the parameters that have a name.
var paramForms = [len(paramNames)]paramForm{
	keyMandatory:     {parseKeys, checkKeys, keysText},                                // RFC 9460 section 8
	keyALPN:          {parseProtocols, checkALPN, alpnText},                           // RFC 9460 section 7.1
	keyNoDefaultALPN: {nil, checkNoValue, nil},                                        // RFC 9460 section 7.1
	3:                {parsePort, checkSize(2, 2), appendDecimal},                     // RFC 9460 section 7.2
	4:                {parseHints(appendIPv4), checkSize(4, maxData), hintsText(4)},   // RFC 9460 section 7.3
	5:                {decodeBase64, checkSize(1, maxData), appendBase64},             // RFC 9848 section 3
	6:                {parseHints(appendIPv6), checkSize(16, maxData), hintsText(16)}, // RFC 9460 section 7.3
	7:                {opaque, checkPath, appendQuoted},                               // RFC 9461 section 5
	8:                {nil, checkNoValue, nil},                                        // RFC 9540 section 4
}

// parseKey returns the key of a name: of the table, or keyNNNNN without leading zeros. named is false
// for keyNNNNN.
func parseKey(text string) (key uint16, named bool, err error) {
	for key, name := range paramNames {
		if name == text {
			return uint16(key), true, nil
		}
	}
	digits, found := strings.CutPrefix(text, "key")
	n, err := parseNumber(digits, 65535)
	if !found || err != nil || len(digits) > 1 && digits[0] == '0' {
		return 0, false, errors.New("no key of a parameter (RFC 9460 section 2.1)")
	}
	return uint16(n), false, nil
}

func appendKey(dst []byte, key uint16) []byte {
	if int(key) < len(paramNames) {
		return append(dst, paramNames[key]...)
	}
	return strconv.AppendUint(append(dst, "key"...), uint64(key), 10)
}

// parseParam returns the key and the wire value of key, key=value or key="value".
func parseParam(text string) (key uint16, value []byte, err error) {
	name, encoded, hasValue := strings.Cut(text, "=")
	key, named, err := parseKey(name)
	if err != nil {
		return 0, nil, err
	}
	if hasValue {
		if len(encoded) > 1 && encoded[0] == '"' && encoded[len(encoded)-1] == '"' {
			encoded = encoded[1 : len(encoded)-1]
		}
		if value, err = decode(nil, encoded); err != nil {
			return 0, nil, err
		}
	}
	if !named {
		return key, value, nil
	}
	param := paramForms[key]
	if param.parse == nil {
		return key, value, nil // Check refuses a value that is not empty
	}
	value, err = param.parse(nil, string(value))
	return key, value, err
}

// params are the parameters of a SVCB or HTTPS record, sorted by key in wire (RFC 9460 section 2.2).
// A record in alias mode should have none, and clients ignore them (RFC 9460 section 2.4.2): they are
// read nevertheless, as in BIND, Knot and NSD.
var params = kind{
	parse: func(p *parser) error {
		type param struct {
			key   uint16
			value []byte
		}
		var all []param
		for len(p.fields) > 0 {
			text, err := p.word()
			if err != nil {
				return err
			}
			key, value, err := parseParam(text)
			if err != nil {
				return fmt.Errorf("%.80s: %w", text, err)
			}
			if len(value) > maxData {
				return fmt.Errorf("%.80s: a value of more than %d octets", text, maxData)
			}
			all = append(all, param{key, value})
		}
		slices.SortFunc(all, func(a, b param) int { return int(a.key) - int(b.key) })
		for _, param := range all {
			p.data = appendUint(p.data, uint64(param.key), 2)
			p.data = appendUint(p.data, uint64(len(param.value)), 2)
			p.data = append(p.data, param.value...)
		}
		return nil
	},
	check: func(data []byte) (int, error) {
		var mandatory []byte // the keys that have to follow, in order as all keys
		last, hasALPN := -1, false
		for left := data; len(left) > 0; {
			key, value, err := nextParam(left)
			if err != nil {
				return 0, err
			}
			switch {
			case int(key) == last:
				return 0, fmt.Errorf("%s twice (RFC 9460 section 2.2)", appendKey(nil, key))
			case int(key) < last:
				return 0, errors.New("keys out of order (RFC 9460 section 2.2)")
			case int(key) < len(paramForms):
				if err := paramForms[key].check(value); err != nil {
					return 0, fmt.Errorf("%s: %w", paramNames[key], err)
				}
			}
			switch {
			case key == keyMandatory:
				mandatory = value
			case len(mandatory) > 0 && key == binary.BigEndian.Uint16(mandatory):
				mandatory = mandatory[2:]
			}
			hasALPN = hasALPN || key == keyALPN
			if key == keyNoDefaultALPN && !hasALPN {
				return 0, errors.New("no-default-alpn without alpn (RFC 9460 section 7.1.1)")
			}
			last, left = int(key), left[4+len(value):]
		}
		if len(mandatory) > 0 {
			return 0, fmt.Errorf("mandatory: %s is missing (RFC 9460 section 8)", appendKey(nil, binary.BigEndian.Uint16(mandatory)))
		}
		return len(data), nil
	},
	text: func(dst, data []byte) []byte {
		for left := data; len(left) > 0; {
			if len(left) < len(data) {
				dst = append(dst, ' ')
			}
			key, value, _ := nextParam(left)
			left = left[4+len(value):]
			dst = appendKey(dst, key)
			switch {
			case int(key) >= len(paramForms):
				if len(value) > 0 {
					dst = appendQuoted(append(dst, '='), value)
				}
			case paramForms[key].text != nil:
				dst = paramForms[key].text(append(dst, '='), value)
			}
		}
		return dst
	},
}

// nextParam returns the key and the value at the beginning of data.
func nextParam(data []byte) (key uint16, value []byte, err error) {
	if len(data) < 4 {
		return 0, nil, errTruncated
	}
	n := int(binary.BigEndian.Uint16(data[2:]))
	if len(data)-4 < n {
		return 0, nil, errTruncated
	}
	return binary.BigEndian.Uint16(data), data[4 : 4+n], nil
}
