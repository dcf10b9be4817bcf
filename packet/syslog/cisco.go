package syslog

import "bytes"

// cutCiscoLead cuts the text that Cisco's devices send before the timestamp, and the timestamp.
// After the PRI: spaces, or the colon of NX-OS and of the ASA's EMBLEM format; then sequence
// numbers ("service sequence-numbers", and the sender's own count), each with a colon; then the
// "logging origin-id", with a colon, and another number.
//
// The numbers are no field, so they go to m.Prefix. An origin-id counts only if a colon ends the
// timestamp too, as on IOS: without a colon, a word, a colon and a time may also be a program and
// its message. Without a timestamp nothing is cut.
func (d *Decoder) cutCiscoLead(m *Message, text []byte) (rest []byte, result timestampResult) {
	rest, before := text, leadNone
	if m.HasPriority {
		rest = trimSpaces(text)
		if len(rest) > 0 && rest[0] == ':' {
			rest, before = trimSpaces(rest[1:]), leadCisco
		}
	}
	n := sequenceEnd(rest)
	sequence := rest[:n]
	rest = rest[n:]
	if n > 0 {
		before = leadCisco
	}
	if len(rest) < len(text) {
		switch after, result := d.cutTimestamp(m, rest, before); result {
		case timestampOnly, timestampColon:
			m.Prefix[0] = sequence
			return after, result
		case withoutZone:
			return after, result
		case unknownZone:
			return nil, result
		}
	}
	if !m.HasPriority {
		return nil, noTimestamp
	}
	n = tokenEnd(rest)
	if n == 0 || n == len(rest) || rest[n] != ' ' || rest[n-1] != ':' || !isHostname(rest[:n-1]) {
		return nil, noTimestamp
	}
	hostname := rest[:n-1]
	rest = rest[n+1:]
	n = sequenceEnd(rest)
	if n > 0 {
		before = leadCisco
	}
	after, result := d.cutTimestamp(m, rest[n:], max(before, leadName))
	switch result {
	case timestampOnly, withoutZone:
		m.Timestamp = nil
		return nil, noTimestamp
	case timestampColon:
		m.Hostname = hostname
		m.Prefix = [2][]byte{sequence, rest[:n]}
	}
	return after, result
}

// sequenceEnd returns the length of "digits: ", once or more often, at the start of text.
func sequenceEnd(text []byte) int {
	end := 0
	for {
		n := end
		for n < len(text) && isDigit(text[n]) {
			n++
		}
		if n == end || !hasPrefix(text[n:], ": ") {
			return end
		}
		end = n + len(": ")
	}
}

// isDeviceName reports whether text begins with the name of a device in the place of a program's
// name: before numbers, uptimes and a mnemonic (Cisco IOS), a node (IOS XR), a task and a timestamp
// (Cisco's wireless controllers, "WLC1: *spamApTask3: Oct 11 22:14:15.003: %CAPWAP-3-…") or the
// fixed words of NetScreen.
func isDeviceName(text []byte) bool {
	after := afterName(text)
	if len(after) == len(text) || len(after) <= len(": ") || !hasPrefix(after, ": ") {
		return false
	}
	rest := after[len(": "):]
	if rest[0] == '*' {
		task := bytes.Index(rest, []byte(": "))
		return task > 0 && scanBSD(rest[task+len(": "):], new(civilTime)) > 0
	}
	for len(rest) > 0 && isDigit(rest[0]) {
		n := tokenEnd(rest)
		if n == len(rest) || rest[n-1] != ':' {
			return false
		}
		rest = rest[n+1:]
	}
	return startsMnemonic(rest) || isNode(rest) || hasPrefix(rest, "NetScreen device_id=")
}

// isMnemonic reports whether text is a colon, at least one space, and %FACILITY-SEVERITY-MNEMONIC.
func isMnemonic(text []byte) bool {
	return len(text) > 3 && text[0] == ':' && text[1] == ' ' && startsMnemonic(trimSpaces(text[1:]))
}

// isFirewall reports whether text, a colon and a mnemonic, is from Cisco's firewalls, which write
// the device's name before the colon, and no zone.
func isFirewall(text []byte) bool {
	text = trimSpaces(text[1:])
	for _, facility := range [...]string{"%ASA-", "%FTD-", "%PIX-", "%FWSM-"} {
		if hasPrefix(text, facility) {
			return true
		}
	}
	return false
}

// isNode reports whether text begins with the name of a node. IOS XR writes such names before the
// timestamp: RP/0/RSP0/CPU0, LC/0/1/CPU0.
func isNode(text []byte) bool {
	n := 0
	for n < len(text) && text[n]-'A' <= 'Z'-'A' {
		n++
	}
	return 2 <= n && n <= 3 && len(text) > n+2 && text[n] == '/' && isDigit(text[n+1]) && text[n+2] == '/'
}

func startsMnemonic(text []byte) bool {
	return len(text) > 1 && text[0] == '%' && text[1]-'A' <= 'Z'-'A'
}
