package syslog

// decodeRFC3164 decodes the text after the PRI, or a datagram without a PRI. RFC 3164 describes
// what was seen on the wire, not a grammar. So decodeRFC3164 cuts each part that has the expected
// form, in order, and leaves the rest in the message.
func (d *Decoder) decodeRFC3164(m *Message, text []byte) {
	m.Text = text
	if d.decodeKeyValue(m, text) {
		return
	}
	rest, result := d.cutTimestamp(m, text, leadNone)
	if result == noTimestamp {
		rest, result = d.cutCiscoLead(m, text)
	}
	switch {
	case result == noTimestamp:
		if m.HasPriority && !isDeviceName(text) {
			m.Text, _ = m.cutTag(text)
		}
	case result == unknownZone:
	case result == withoutZone:
		if m.HasPriority {
			m.Prefix[0] = text[:len(text)-len(rest)+len(" ")]
			m.Text = m.cutHeader(rest)
		}
	case result == timestampColon:
		m.Text = cutSpace(rest)
	case len(rest) == 0 || rest[0] == '\t':
		m.Text = cutSpaceOrTab(rest)
	default:
		m.Text = m.cutHeader(rest)
	}
}

// timestampResult says what was found in the place of a timestamp.
type timestampResult uint8

const (
	noTimestamp    timestampResult = iota
	unknownZone                    // a timestamp with an unknown zone: nothing is cut
	withoutZone                    // ISO 8601 without a zone: stays in the message, before the fields
	timestampOnly                  // a timestamp without a colon
	timestampColon                 // a timestamp and a colon, both cut
)

// cutTimestamp cuts a timestamp from the start of text, with Cisco's mark before and a zone after
// the timestamp. rest begins with the separator, if any.
func (d *Decoder) cutTimestamp(m *Message, text []byte, before lead) (rest []byte, result timestampResult) {
	if len(text) > 0 && (text[0] == '*' || text[0] == '.') {
		text = text[1:]
		before = leadCisco
	}
	if len(text) < len("Mmm d hh:mm:ss") {
		return nil, noTimestamp
	}
	var c civilTime
	n, result := 0, timestampOnly
	switch {
	case text[4] == '-':
		if n = scanRFC3339(text, maxFraction); n > 0 && endsTimestamp(text[n:]) {
			m.Timestamp = text[:n]
			break
		}
		var (
			offset int
			known  bool
		)
		if n, offset, known = scanISO(text, &c); n == 0 || !endsTimestamp(text[n:]) {
			return nil, noTimestamp
		}
		if known {
			d.setTimestamp(m, &c, offset)
			break
		}
		if n, result = d.completeTimestamp(m, text, n, &c, before, withoutZone); result != timestampOnly {
			return text[n:], result
		}
	case text[4] == ':':
		if n = scanUTM(text, &c); n == 0 || !endsTimestamp(text[n:]) {
			return nil, noTimestamp
		}
		if n, result = d.completeTimestamp(m, text, n, &c, before, timestampOnly); result != timestampOnly {
			return nil, result
		}
	default:
		if n = scanBSD(text, &c); n == 0 || !endsTimestamp(text[n:]) {
			return nil, noTimestamp
		}
		if n, result = d.completeTimestamp(m, text, n, &c, before, timestampOnly); result != timestampOnly {
			return nil, result
		}
	}
	rest = text[n:]
	if len(rest) > 0 && rest[0] == ':' {
		return rest[1:], timestampColon
	}
	return rest, timestampOnly
}

// completeTimestamp reads the zone that may follow the timestamp c, which has n bytes of text, and
// writes the timestamp. Without a zone, c is in Location, unless resultWithoutZone is withoutZone:
// in ISO 8601 a time without a zone is local time, but senders may mean UTC (unlike RFC 3164 and
// its senders). end is the end of the zone.
func (d *Decoder) completeTimestamp(
	m *Message, text []byte, n int, c *civilTime, before lead, resultWithoutZone timestampResult,
) (end int, result timestampResult) {
	rest := text[n:]
	year := noYear
	if c.year == noYear {
		if before != leadName {
			year = yearAfterZone(rest)
		}
		if c.year = year; year == noYear {
			d.clock.completeYear(c)
		}
	}
	zone, offset, size := d.clock.readZone(rest, c, before)
	if year != noYear {
		if zone == zoneLocal { // the word is a hostname, and the message begins with a number
			c.year = noYear
			d.clock.completeYear(c)
		} else if size += len(" 2023"); !c.isValid() {
			return n, noTimestamp
		}
	}
	switch {
	case zone == zoneUnknown:
		return n, unknownZone
	case zone == zoneKnown:
	case resultWithoutZone == withoutZone:
		if len(rest) == 0 || rest[0] != ' ' {
			return n, noTimestamp
		}
		return n, withoutZone
	default:
		offset = d.clock.localOffset(c)
	}
	d.setTimestamp(m, c, offset)
	return n + size, timestampOnly
}

// setTimestamp writes the timestamp c, which is offset seconds east of UTC.
func (d *Decoder) setTimestamp(m *Message, c *civilTime, offset int) {
	if offset%60 != 0 {
		// Local mean time, from before zones: offsets in RFC 3339 have no seconds.
		if u := c.toUTC(offset); 0 <= u.year && u.year <= maxYear {
			*c, offset = u, 0
		}
	}
	m.Timestamp = appendTimestamp(d.timestamp[:0], c, offset)
}

// cutHeader cuts HOSTNAME and TAG, if present, from the text after the timestamp.
func (m *Message) cutHeader(text []byte) (rest []byte) {
	field := trimSpaces(text)
	if isRepeatNotice(field) {
		return text[1:]
	}
	host := field[:tokenEnd(field)]
	after := field[len(host):]
	if len(host) == len("Message") && hasPrefix(field, forwardedFrom) {
		host, after = cutForwarded(field)
	}
	switch {
	case isHostname(host) && !isKnownNonHostname(host, after):
		m.Hostname = host
		if len(after) == 0 || after[0] == '\t' {
			return cutSpaceOrTab(after)
		}
		text, field = after, trimSpaces(after)
	case isDeviceName(field):
		return text[1:]
	}
	if isMnemonic(field) {
		return cutSpace(field[1:]) // Cisco ASA: "fw01 : %ASA-6-302013: Built"
	}
	if rest, ok := m.cutTag(field); ok {
		return rest
	}
	return text[1:]
}

// forwardedFrom is the text of AIX's syslogd before the hostname and a colon in a forwarded message
// (AIX Commands Reference, syslogd).
const forwardedFrom = "Message forwarded from "

// cutForwarded cuts the hostname after forwardedFrom. Without a colon the text has no hostname.
func cutForwarded(text []byte) (host, after []byte) {
	text = text[len(forwardedFrom):]
	n := tokenEnd(text)
	if n == 0 || text[n-1] != ':' {
		return nil, nil
	}
	return text[:n-1], text[n:]
}

// isRepeatNotice reports whether text is the notice of syslog daemons, without a hostname, in place
// of a repeated line: "last message repeated 2 times", FreeBSD's "last message buffered 2 times",
// and rsyslog's and macOS's "message repeated 2 times: [ text ]".
func isRepeatNotice(text []byte) bool {
	if len(text) == 0 || text[0] != 'l' && text[0] != 'm' {
		return false // most messages
	}
	last := hasPrefix(text, "last ")
	if last {
		text = text[len("last "):]
	}
	if !hasPrefix(text, "message repeated ") && !(last && hasPrefix(text, "message buffered ")) {
		return false
	}
	n := text[len("message repeated "):]
	if len(n) == 0 || !isDigit(n[0]) {
		return false
	}
	for len(n) > 0 && isDigit(n[0]) {
		n = n[1:]
	}
	if !last {
		return hasPrefix(n, " times: [")
	}
	return string(n) == " times" || string(n) == " time"
}

// hasPrefix is bytes.HasPrefix, inlined: a constant prefix costs one or two comparisons and no
// call.
func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// tokenEnd returns the number of bytes before a space or a tab.
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

// cutSpace cuts a space, cutSpaceOrTab a space or a tab.
func cutSpace(text []byte) []byte {
	if len(text) > 0 && text[0] == ' ' {
		return text[1:]
	}
	return text
}

func cutSpaceOrTab(text []byte) []byte {
	if len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
		return text[1:]
	}
	return text
}
