package syslog

import "bytes"

// decodeKeyValue decodes the format of firewalls that send pairs of key and value without a header.
// The fields are copied: the whole text stays in the message. decodeKeyValue returns false for text
// in another format.
func (d *Decoder) decodeKeyValue(m *Message, text []byte) bool {
	switch {
	case hasPrefix(text, "date="):
		return d.decodeFortiGate(m, text)
	case hasPrefix(text, `device="`), hasPrefix(text, `device_name="`):
		d.decodeSophosFirewall(m, text)
		return true
	}
	return false
}

// decodeFortiGate reads date, time, tz and devname of the FortiOS Log Message Reference. Of a
// repeated key, the first value is used. Before FortiOS 6.2 there is no tz: then the device is in
// Decoder.Location. FortiWeb has a timezone in words, (GMT+1:00)Berlin, without summer time.
func (d *Decoder) decodeFortiGate(m *Message, text []byte) bool {
	var c civilTime
	_, value, rest := nextPair(text) // date, checked by the caller
	if !scanWhole(value, &c, scanDay) {
		return false
	}
	key, value, rest := nextPair(rest)
	if string(key) != "time" || !scanWhole(value, &c, scanClock) || !c.isValid() {
		return false
	}
	var hostname, tz []byte
	for len(rest) > 0 && (hostname == nil || tz == nil) {
		switch key, value, rest = nextPair(rest); string(key) {
		case "devname":
			if hostname == nil {
				hostname = value
			}
		case "tz", "timezone":
			if tz == nil {
				tz = value
			}
		case "":
			if tz == nil {
				return false // tz may be cut off, or in text without pairs
			}
		}
	}
	var offset int
	if tz == nil {
		offset = d.clock.localOffset(&c)
	} else if n := scanOffset(tz, &offset); n == 0 || n < len(tz) {
		return false
	}
	d.setTimestamp(m, &c, offset)
	if isHostname(hostname) {
		m.Hostname = hostname
	}
	return true
}

// decodeSophosFirewall reads timestamp ("Central Reporting Format"), or date, time and timezone
// ("Device Standard Format"), as in the Sophos Firewall "Syslog descriptions" guide. A device model
// is no hostname.
func (d *Decoder) decodeSophosFirewall(m *Message, text []byte) {
	var (
		c                civilTime
		key, value, zone []byte
		day, timeOfDay   bool
	)
	for len(text) > 0 && !(day && timeOfDay && zone != nil) {
		switch key, value, text = nextPair(text); string(key) {
		case "timestamp":
			d.setSophosTimestamp(m, value)
			return
		case "date":
			if !day && !scanWhole(value, &c, scanDay) {
				return
			}
			day = true
		case "time":
			if !timeOfDay && !scanWhole(value, &c, scanClock) {
				return
			}
			timeOfDay = true
		case "timezone":
			if zone == nil {
				zone = value
			}
		}
	}
	if !day || !timeOfDay || !c.isValid() {
		return
	}
	offset, ok := d.clock.locationOffset(&c, zone)
	if !ok {
		offset, ok = utcOffset(zone)
	}
	if n := scanOffset(zone, &offset); !ok && n > 0 && n == len(zone) {
		ok = true
	}
	if ok {
		d.setTimestamp(m, &c, offset)
	}
}

// setSophosTimestamp reads RFC 3339, also with an offset without a colon.
func (d *Decoder) setSophosTimestamp(m *Message, value []byte) {
	var (
		c      civilTime
		offset int
	)
	const date = len("2023-10-11T")
	if !scanDate(value, &c, '-') || len(value) <= date || value[date-1] != 'T' {
		return
	}
	n := scanTime(value[date:], &c, maxFraction)
	if n == 0 || !c.isValid() {
		return
	}
	zone := value[date+n:]
	if n := scanOffset(zone, &offset); n > 0 && n == len(zone) {
		d.setTimestamp(m, &c, offset)
	}
}

func scanDay(text []byte, c *civilTime) int {
	if !scanDate(text, c, '-') {
		return 0
	}
	return len("yyyy-mm-dd")
}

func scanClock(text []byte, c *civilTime) int { return scanTime(text, c, maxFraction) }

// scanWhole reports whether scan reads all of text.
func scanWhole(text []byte, c *civilTime, scan func([]byte, *civilTime) int) bool {
	n := scan(text, c)
	return n > 0 && n == len(text)
}

// nextPair cuts key=value from the start of text, with the spaces before and after. In a value in
// quotation marks, a backslash escapes the next byte. Text without a pair ends the pairs: rest is
// then empty.
func nextPair(text []byte) (key, value, rest []byte) {
	text = trimSpaces(text)
	n := bytes.IndexByte(text, '=')
	if n <= 0 || bytes.IndexByte(text[:n], ' ') >= 0 || bytes.IndexByte(text[:n], '"') >= 0 {
		return nil, nil, nil
	}
	key, text = text[:n], text[n+1:]
	if len(text) == 0 || text[0] != '"' {
		n = bytes.IndexByte(text, ' ')
		if n < 0 {
			n = len(text)
		}
		return key, text[:n], trimSpaces(text[n:])
	}
	text = text[1:]
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return key, text[:i], trimSpaces(text[i+1:])
		}
	}
	return nil, nil, nil
}
