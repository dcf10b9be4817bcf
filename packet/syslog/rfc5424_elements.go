package syslog

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/udpshard/udpshard/packet/record"
)

// sourceID is the SD-ID of the element with the datagram's source. 32473 is the enterprise number
// for documentation (RFC 5612): udpshard has no number of its own, and the name before the @ keeps
// the element apart. The registered element "origin" (RFC 5424 section 7.2) would be wrong: there
// the originator states its own addresses, but the source is what the receiver has seen, possibly
// a relay or a gateway.
const sourceID = "udpshard@32473"

// appendElements5424 appends STRUCTURED-DATA with the element of the source.
func appendElements5424(dst []byte, elements []Element, source netip.AddrPort, truncated bool) []byte {
	start, done := len(dst), !source.IsValid() && !truncated
	for i := range elements {
		e := &elements[i]
		dst = append(append(dst, '['), e.ID...)
		for j := range e.Params {
			dst = appendParam(dst, &e.Params[j])
		}
		if !done && string(e.ID) == sourceID {
			dst, done = appendSource(dst, source, truncated), true
		}
		dst = append(dst, ']')
	}
	if !done {
		dst = append(appendSource(append(dst, "["+sourceID...), source, truncated), ']')
	}
	if len(dst) == start {
		dst = append(dst, '-')
	}
	return dst
}

// appendParam appends a space and an SD-PARAM. A backslash that escapes nothing is a backslash (RFC
// 5424 section 6.3.3), which strict receivers accept only with an escape.
func appendParam(dst []byte, p *Param) []byte {
	dst = append(append(dst, ' '), p.Name...)
	dst = append(dst, '=', '"')
	value := p.Value
	for p.escaped {
		i := bytes.IndexByte(value, '\\')
		if i < 0 {
			break
		}
		dst = record.AppendLine(dst, value[:i])
		c := byte('\\')
		if value = value[i+1:]; len(value) > 0 && isEscapable(value[0]) {
			c, value = value[0], value[1:]
		}
		dst = append(dst, '\\', c)
	}
	dst = record.AppendLine(dst, value)
	return append(dst, '"')
}

// appendSource appends the params of the element with the source.
func appendSource(dst []byte, source netip.AddrPort, truncated bool) []byte {
	if source.IsValid() {
		dst = append(dst, ` ip="`...)
		if source.Addr().Zone() == "" {
			dst = source.Addr().AppendTo(dst)
		} else {
			dst = appendZonedAddress(dst, source.Addr())
		}
		dst = append(dst, `" port="`...)
		dst = append(strconv.AppendUint(dst, uint64(source.Port()), 10), '"')
	}
	if truncated {
		dst = append(dst, ` truncated="true"`...)
	}
	return dst
}

// appendZonedAddress appends an address as a PARAM-VALUE. The zone, the name of an interface, may
// need escapes.
func appendZonedAddress(dst []byte, address netip.Addr) []byte {
	var buf [64]byte // an IPv6 address and the name of an interface
	text := address.AppendTo(buf[:0])
	for {
		i := bytes.IndexAny(text, `"\]`)
		if i < 0 {
			return record.AppendLine(dst, text)
		}
		dst = append(record.AppendLine(dst, text[:i]), '\\', text[i])
		text = text[i+1:]
	}
}
