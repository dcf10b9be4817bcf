package syslog

import "bytes"

// rfc3164 decodes what follows the PRI, or a datagram without one. RFC 3164
// describes what was seen on the wire and not a grammar, so this takes what
// has the look of each part, in order, and leaves the rest in the message.
func (d *Decoder) rfc3164(m *Message, text []byte) {
	m.Text = text
	if d.keyValue(m, text) {
		return
	}
	rest, colon, ok := d.cutTimestamp(m, text, false)
	if !ok {
		rest, colon, ok = d.cutCiscoLead(m, text)
	}
	switch {
	case !ok && m.HasPriority && !isDeviceName(text):
		m.Text, _ = m.cutTag(text)
	case !ok:
	case colon:
		m.Text = cutSpace(rest)
	case len(rest) == 0 || rest[0] == '\t':
		m.Text = cutByte(rest)
	default:
		m.Text = m.cutHeader(rest)
	}
}

// cutTimestamp takes a timestamp from the start of text, with Cisco's mark
// before it and its zone after it. colon reports that a colon followed, and
// that it was taken too. rest begins with the separator, if there is one.
func (d *Decoder) cutTimestamp(m *Message, text []byte, cisco bool) (rest []byte, colon, ok bool) {
	if len(text) > 0 && (text[0] == '*' || text[0] == '.') {
		text = text[1:]
		cisco = true
	}
	if len(text) < len("Mmm d hh:mm:ss") {
		return nil, false, false
	}
	var (
		c civil
		n int
	)
	switch {
	case text[4] == '-':
		if n = scanRFC3339(text, maxFraction); n == 0 || !endsTimestamp(text[n:]) {
			return nil, false, false
		}
		m.Timestamp = text[:n]
	case text[4] == ':':
		if n = scanUTM(text, &c); n == 0 || !endsTimestamp(text[n:]) {
			return nil, false, false
		}
		d.setTimestamp(m, &c, d.clock.localOffset(&c))
	default:
		if n = scanBSD(text, &c); n == 0 || !endsTimestamp(text[n:]) {
			return nil, false, false
		}
		d.clock.complete(&c)
		zone, offset, size := d.clock.readZone(text[n:], &c, cisco)
		switch zone {
		case zoneUnknown:
			return nil, false, false
		case zoneLocal:
			offset = d.clock.localOffset(&c)
		}
		n += size
		d.setTimestamp(m, &c, offset)
	}
	rest = text[n:]
	if len(rest) > 0 && rest[0] == ':' {
		return rest[1:], true, true
	}
	return rest, false, true
}

// setTimestamp writes the timestamp that c tells offset seconds east of UTC.
func (d *Decoder) setTimestamp(m *Message, c *civil, offset int) {
	if offset%60 != 0 {
		// Local mean time, before zones: RFC 3339 has no seconds there.
		if u := c.inUTC(offset); 0 <= u.year && u.year <= maxYear {
			*c, offset = u, 0
		}
	}
	m.Timestamp = appendStamp(d.stamp[:0], c, offset)
}

// cutHeader takes what follows the space after the timestamp: HOSTNAME and
// TAG, each if it is there.
func (m *Message) cutHeader(text []byte) (rest []byte) {
	field := trimSpaces(text)
	if isRepeatNotice(field) {
		return field
	}
	host := tokenEnd(field)
	switch {
	case isHostname(field[:host]):
		m.Hostname = field[:host]
		text = field[host:]
		if len(text) == 0 || text[0] == '\t' {
			return cutByte(text)
		}
		field = trimSpaces(text)
	case isDeviceName(field):
		return text[1:]
	}
	if len(field) > 0 && field[0] == ':' && (len(field) == 1 || field[1] == ' ') {
		return cutSpace(field[1:]) // Cisco ASA: "fw01 : %ASA-6-302013: Built"
	}
	if rest, ok := m.cutTag(field); ok {
		return rest
	}
	return text[1:]
}

// isRepeatNotice reports whether text is what syslogd(8) writes, without a
// hostname, instead of the same line again.
func isRepeatNotice(text []byte) bool {
	n, ok := bytes.CutPrefix(text, []byte("last message repeated "))
	if !ok || len(n) == 0 || !isDigit(n[0]) {
		return false
	}
	for len(n) > 0 && isDigit(n[0]) {
		n = n[1:]
	}
	return string(n) == " times" || string(n) == " time"
}

// tokenEnd returns how many bytes come before a space or a tab.
func tokenEnd(text []byte) int {
	for i, c := range text {
		if c == ' ' || c == '\t' {
			return i
		}
	}
	return len(text)
}

func trimSpaces(text []byte) []byte {
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	return text
}

// cutSpace cuts one space, cutByte a separator that may be a tab.
func cutSpace(text []byte) []byte {
	if len(text) > 0 && text[0] == ' ' {
		return text[1:]
	}
	return text
}

func cutByte(text []byte) []byte {
	if len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		return text[1:]
	}
	return text
}
