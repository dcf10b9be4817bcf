// Package dnstap writes dnstap messages (https://dnstap.info) in Frame Streams, and finds the frames
// in a stream.
//
// A frame is a length of four bytes, big-endian, and data: a Dnstap message in protobuf. A length of
// 0 is followed by a control frame: a length, and a type with fields. A stream begins with the
// control frame START, and ends with STOP. Fields and numbers are those of dnstap.proto and of
// fstrm/control.h.
package dnstap

import (
	"encoding/binary"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Type is the type of a message.
type Type uint8

// The types of messages of a server with authority.
const (
	AuthQuery    Type = 1 // a query that the server has received
	AuthResponse Type = 2 // a response that the server has sent
)

// Message is a query or a response.
type Message struct {
	Type         Type
	TCP          bool           // the transport is TCP, else UDP
	Client       netip.AddrPort // sent the query
	Server       netip.AddrPort // received the query; the zero AddrPort is unknown
	Zone         []byte         // of the name, in wire form; nil: none
	Query        []byte         // nil: not in the message
	QueryTime    time.Time
	Response     []byte // nil: not in the message
	ResponseTime time.Time
}

// Encoder writes messages of one server. An Encoder belongs to one thread.
type Encoder struct {
	trailer []byte // of each Dnstap message, after the field message
	body    []byte // of the field message
}

// NewEncoder returns an Encoder whose messages have the identity and the version of the server; an
// empty text is left out.
func NewEncoder(identity, version string) *Encoder {
	e := new(Encoder)
	for number, text := range []string{1: identity, 2: version} {
		if text != "" {
			e.trailer = protowire.AppendTag(e.trailer, protowire.Number(number), protowire.BytesType)
			e.trailer = protowire.AppendString(e.trailer, text)
		}
	}
	const typeMessage = 1
	e.trailer = protowire.AppendTag(e.trailer, 15, protowire.VarintType)
	e.trailer = protowire.AppendVarint(e.trailer, typeMessage)
	return e
}

// messageField is the number of the field message in Dnstap.
const messageField = 14

// AppendFrame appends a frame with a message. The field message comes first: see isQuery.
func (e *Encoder) AppendFrame(dst []byte, m *Message) []byte {
	e.body = appendMessage(e.body[:0], m)
	length := protowire.SizeTag(messageField) + protowire.SizeBytes(len(e.body)) + len(e.trailer)
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	dst = protowire.AppendTag(dst, messageField, protowire.BytesType)
	dst = protowire.AppendBytes(dst, e.body)
	return append(dst, e.trailer...)
}

// appendMessage appends the fields of the protobuf message Message, by number. The type comes first.
func appendMessage(dst []byte, m *Message) []byte {
	const inet, inet6, udp, tcp = 1, 2, 1, 2
	family, protocol := uint64(inet), uint64(udp)
	if m.Client.Addr().Is6() {
		family = inet6
	}
	if m.TCP {
		protocol = tcp
	}
	dst = appendVarint(dst, 1, uint64(m.Type))
	dst = appendVarint(dst, 2, family)
	dst = appendVarint(dst, 3, protocol)
	dst = appendAddress(dst, 4, m.Client.Addr())
	if m.Server.IsValid() {
		dst = appendAddress(dst, 5, m.Server.Addr())
	}
	dst = appendVarint(dst, 6, uint64(m.Client.Port()))
	if m.Server.IsValid() {
		dst = appendVarint(dst, 7, uint64(m.Server.Port()))
	}
	dst = appendTime(dst, 8, m.QueryTime)
	if m.Query != nil {
		dst = appendBytes(dst, 10, m.Query)
	}
	if m.Zone != nil {
		dst = appendBytes(dst, 11, m.Zone)
	}
	if m.Response != nil {
		dst = appendTime(dst, 12, m.ResponseTime)
		dst = appendBytes(dst, 14, m.Response)
	}
	return dst
}

func appendVarint(dst []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), value)
}

func appendBytes(dst []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), value)
}

func appendAddress(dst []byte, field protowire.Number, address netip.Addr) []byte {
	if address.Is4() {
		octets := address.As4()
		return appendBytes(dst, field, octets[:])
	}
	octets := address.As16()
	return appendBytes(dst, field, octets[:])
}

// appendTime appends the seconds as a field, and the nanoseconds as the next.
func appendTime(dst []byte, field protowire.Number, at time.Time) []byte {
	dst = appendVarint(dst, field, uint64(at.Unix()))
	dst = protowire.AppendTag(dst, field+1, protowire.Fixed32Type)
	return protowire.AppendFixed32(dst, uint32(at.Nanosecond()))
}

// isQuery reports whether the data of a frame of an Encoder is a query.
func isQuery(data []byte) bool {
	_, _, tag := protowire.ConsumeTag(data)
	if tag < 0 {
		return false
	}
	_, length := protowire.ConsumeVarint(data[tag:])
	if length < 0 {
		return false
	}
	number, _, n := protowire.ConsumeTag(data[tag+length:])
	if n < 0 || number != 1 {
		return false
	}
	message, _ := protowire.ConsumeVarint(data[tag+length+n:])
	return message == uint64(AuthQuery)
}
