package syslog

import (
	"bytes"

	"github.com/udpshard/udpshard/packet/record"
)

// cutStructuredData cuts STRUCTURED-DATA (RFC 5424 section 6.3). The elements are valid until the
// next call. A repeated SD-ID is invalid (section 6.3.2); a PARAM-NAME may repeat (section 6.3.3).
func (d *Decoder) cutStructuredData(text []byte) (elements []Element, rest []byte, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		return nil, text[1:], true
	}
	d.elements, d.params = d.elements[:0], d.params[:0]
	for len(text) > 0 && text[0] == '[' {
		if text, ok = d.cutElement(text[1:]); !ok {
			return nil, nil, false
		}
	}
	if len(d.elements) == 0 || d.names.repeatedID(d.elements) {
		return nil, nil, false
	}
	for i := range d.elements {
		d.names.linkRepeats(d.elements[i].Params)
	}
	return d.elements, text, true
}

// cutElement cuts the text of an SD-ELEMENT after the opening bracket, up to the closing bracket.
func (d *Decoder) cutElement(text []byte) (rest []byte, ok bool) {
	var e Element
	if e.ID, text, ok = cutSDName(text); !ok {
		return nil, false
	}
	// When d.params grows, the array moves. Earlier elements keep the old array, which already has
	// all their params.
	first := len(d.params)
	for len(text) > 0 && text[0] == ' ' {
		var p Param
		if p, text, ok = cutParam(text[1:]); !ok {
			return nil, false
		}
		d.params = append(d.params, p)
	}
	if len(text) == 0 || text[0] != ']' {
		return nil, false
	}
	e.Params = d.params[first:len(d.params):len(d.params)]
	d.elements = append(d.elements, e)
	return text[1:], true
}

// cutParam cuts PARAM-NAME "=" %d34 PARAM-VALUE %d34.
func cutParam(text []byte) (p Param, rest []byte, ok bool) {
	if p.Name, text, ok = cutSDName(text); !ok {
		return p, nil, false
	}
	if len(text) < 2 || text[0] != '=' || text[1] != '"' {
		return p, nil, false
	}
	text = text[2:]
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			p.Value = text[:i]
			return p, text[i+1:], true
		case ']':
			return p, nil, false
		case '\\':
			p.escaped = true
			if i+1 < len(text) && isEscapable(text[i+1]) {
				i++
			}
		}
	}
	return p, nil, false
}

// isEscapable reports whether a backslash before c is an escape. Before other bytes, a backslash is
// a backslash (RFC 5424 section 6.3.3).
func isEscapable(c byte) bool { return c == '"' || c == '\\' || c == ']' }

// cutSDName cuts an SD-NAME: 1 to 32 PRINTUSASCII bytes without =, ] and ".
func cutSDName(text []byte) (name, rest []byte, ok bool) {
	i := 0
	for i < len(text) && isPrintASCII(text[i]) && text[i] != '=' && text[i] != ']' && text[i] != '"' {
		i++
	}
	if i == 0 || i > maxSDName {
		return nil, nil, false
	}
	return text[:i], text[i:], true
}

// appendValue appends a PARAM-VALUE without its escapes, as a JSON string.
func (p *Param) appendValue(dst []byte) []byte {
	if !p.escaped {
		return record.AppendString(dst, p.Value)
	}
	dst = append(dst, '"')
	value := p.Value
	for {
		i := bytes.IndexByte(value, '\\')
		if i < 0 || i+1 == len(value) {
			break
		}
		if isEscapable(value[i+1]) {
			dst = record.AppendText(dst, value[:i])
			dst = record.AppendText(dst, value[i+1:i+2])
			value = value[i+2:]
		} else {
			dst = record.AppendText(dst, value[:i+1])
			value = value[i+1:]
		}
	}
	dst = record.AppendText(dst, value)
	return append(dst, '"')
}
