// Package syslog decodes syslog datagrams into records: RFC 5424, RFC 3164 as seen in practice, and
// formats of some vendors.
//
// The decoder never guesses and never loses text. A record has a field only if a grammar or a
// vendor's documented format defines the field, and all text outside fields stays in the message,
// byte for byte. No datagram is refused: if no grammar fits, the whole datagram is the message.
// docs/syslog.md shows each format with a sample.
//
// One datagram is one message (RFC 5426 section 3.1). Decoding copies nothing and, after the first
// messages, allocates nothing.
package syslog

import (
	"bytes"
	"time"
)

// Decoder decodes datagrams, one after another. The zero Decoder is ready for use. A Decoder has
// memory for the decoded message, and belongs to one thread.
type Decoder struct {
	// Location is the location of senders whose timestamps have no zone; nil is time.Local.
	Location *time.Location

	clock     clock
	timestamp [maxTimestamp]byte // a timestamp in another form than sent
	elements  []Element
	params    []Param
	names     nameTable
}

// Decode decodes text, a datagram that was received at receivedAt, into m. Decode never fails. A
// timestamp without a year gets the year nearest to receivedAt.
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

// trimEnd cuts newlines, LF and CRLF, and NULs from the end of text. A CR without a newline stays.
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
