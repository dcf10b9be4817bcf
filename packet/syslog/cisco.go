package syslog

import "bytes"

// cutCiscoLead takes what Cisco's devices put before the timestamp, and the
// timestamp. After the PRI: spaces, or the colon of NX-OS and of the ASA's
// EMBLEM format; then sequence numbers ("service sequence-numbers" and that of
// the sender's own count), each with a colon; then the "logging origin-id",
// with a colon, and another number.
//
// The numbers are no field, so they go to m.Prefix. An origin-id counts only
// if a colon ends the timestamp too, as it does on IOS: without it, a word, a
// colon and a time are just as well a program and its message. If no timestamp
// is there, nothing is taken.
func (d *Decoder) cutCiscoLead(m *Message, text []byte) (rest []byte, colon, ok bool) {
	rest, cisco := text, false
	if m.HasPriority {
		rest = trimSpaces(text)
		if len(rest) > 0 && rest[0] == ':' {
			rest, cisco = trimSpaces(rest[1:]), true
		}
	}
	n := sequenceEnd(rest)
	sequence := rest[:n]
	rest = rest[n:]
	if len(rest) < len(text) {
		if after, colon, ok := d.cutTimestamp(m, rest, cisco || n > 0); ok {
			m.Prefix[0] = sequence
			return after, colon, true
		}
	}
	if !m.HasPriority {
		return text, false, false
	}
	n = tokenEnd(rest)
	if n == 0 || n == len(rest) || rest[n] != ' ' || rest[n-1] != ':' || !isHostname(rest[:n-1]) {
		return text, false, false
	}
	hostname := rest[:n-1]
	rest = rest[n+1:]
	n = sequenceEnd(rest)
	after, colon, ok := d.cutTimestamp(m, rest[n:], true)
	if !ok || !colon {
		m.Timestamp = nil
		return text, false, false
	}
	m.Hostname = hostname
	m.Prefix = [2][]byte{sequence, rest[:n]}
	return after, true, true
}

// sequenceEnd returns how many bytes of "digits: ", once or more often, text
// begins with.
func sequenceEnd(text []byte) int {
	end := 0
	for {
		n := end
		for n < len(text) && isDigit(text[n]) {
			n++
		}
		if n == end || !bytes.HasPrefix(text[n:], []byte(": ")) {
			return end
		}
		end = n + len(": ")
	}
}

// isDeviceName reports whether text begins with a name that a mnemonic
// follows: that is a device's, though it stands where a program's would.
func isDeviceName(text []byte) bool { return isMnemonic(afterName(text)) }

// isMnemonic reports whether text is a colon and %FACILITY-SEVERITY-MNEMONIC.
func isMnemonic(text []byte) bool {
	return len(text) > 3 && text[0] == ':' && text[1] == ' ' && text[2] == '%' && text[3]-'A' <= 'Z'-'A'
}
