// Package syslog decodes syslog datagrams into records: RFC 5424, RFC 3164 as
// it is met in the field, and what some vendors send instead.
//
// It never guesses and never loses text. A field is there only if a grammar or
// a vendor's documented form puts it there, and what is not taken into a field
// stays in the message, byte for byte. Nothing is refused: a datagram that no
// grammar fits is all message. docs/syslog.md shows each form with a sample.
//
// One datagram is one message (RFC 5426 section 3.1). Decoding copies nothing
// and, after the first messages, allocates nothing.
package syslog

import (
	"bytes"
	"time"
)

// Decoder decodes datagrams, one after the other. The zero Decoder is ready.
// It holds memory for what it decodes, and belongs to one thread.
type Decoder struct {
	// Location is where senders are whose timestamps have no zone; nil is
	// time.Local.
	Location *time.Location

	clock     clock
	timestamp [maxTimestamp]byte // the timestamp, if it is not as sent
	elements  []Element
	params    []Param
	names     nameTable
}

// Decode decodes text, a datagram that was received at receivedAt, into m. It
// never fails. receivedAt is what a timestamp without a year is near to.
func (d *Decoder) Decode(m *Message, text []byte, receivedAt time.Time) {
	*m = Message{Format: Unparsed}
	text = trimEnd(text)
	d.clock.prepare(d.Location, receivedAt)

	m.Priority, text, m.HasPriority = cutPriority(text)
	if m.HasPriority && len(text) >= 2 && text[0] == '1' && text[1] == ' ' {
		if d.decodeRFC5424(m, text[2:]) {
			m.Format = RFC5424
			return
		}
		*m = Message{Format: Unparsed, Priority: m.Priority, HasPriority: true, Text: text}
		return
	}
	d.decodeRFC3164(m, text)
	if m.HasPriority || m.Timestamp != nil {
		m.Format = RFC3164
	}
}

// trimEnd cuts newlines, LF and CRLF, and NULs from the end of text. A CR that
// no newline follows stays.
func trimEnd(text []byte) []byte {
	for len(text) > 0 {
		switch text[len(text)-1] {
		case '\n':
			text = bytes.TrimSuffix(text[:len(text)-1], []byte{'\r'})
		case 0:
			text = text[:len(text)-1]
		default:
			return text
		}
	}
	return text
}
