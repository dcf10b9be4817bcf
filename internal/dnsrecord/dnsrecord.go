// Package dnsrecord writes the records of DNS queries: as JSON, and as dnstap messages.
//
// A Writer appends the record of an Exchange to the caller's buffer, and allocates nothing once the
// buffer is large enough. A Writer belongs to one thread, because the Writer keeps the texts that a
// record has in common with the next.
package dnsrecord

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Exchange is a message that a DNS server has received, and what the server made of the message.
type Exchange struct {
	Message     []byte         // as received
	Reply       []byte         // as sent; nil: none was sent
	Source      netip.AddrPort // of the message
	Destination netip.AddrPort // of the message; the zero AddrPort is unknown
	Transport   Transport
	ReceivedAt  time.Time
	Duration    time.Duration // from ReceivedAt until the reply was ready
	Truncated   bool          // the message was longer, and was cut

	Name        []byte // of the question, in wire form; nil: there is no readable question
	Type, Class uint16
	Rcode       uint16 // of the reply, with the bits of the OPT record
	Zone        []byte // origin of the zone that has the name, in wire form; nil: none

	EDNS         bool // the message is readable, and has an OPT record, with the next five fields
	Version      uint8
	Size         uint16 // largest UDP message that the sender accepts
	DO           bool
	ClientSubnet []byte // data of the option (RFC 7871 section 6); nil: none
	Cookie       string // client, valid or bad; "": none, or cookies are off

	Limited   string // by the rate limit: dropped or truncated; "": not limited
	Malformed string // the part of the message that breaks the rules; "": none
}

// Writer writes records in one format.
type Writer interface {
	// Append appends the record of an exchange.
	Append(dst []byte, e *Exchange) []byte
}

// Transport is how a message was received.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
)

func (t Transport) String() string {
	if t == TCP {
		return "tcp"
	}
	return "udp"
}

// HeaderSize is the size of a message's header in bytes (RFC 1035 section 4.1.1).
const HeaderSize = 12

// flags returns the second word of the header of a message.
func flags(message []byte) uint16 { return binary.BigEndian.Uint16(message[2:]) }
