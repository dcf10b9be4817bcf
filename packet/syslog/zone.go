package syslog

import "bytes"

// zone is what a timestamp says of its offset.
type zone uint8

const (
	zoneLocal   zone = iota // nothing: the sender is in Decoder.Location
	zoneKnown               // an offset
	zoneUnknown             // a name that has no one meaning
)

// lead is what stands before a timestamp: it says whose the word after it is.
type lead uint8

const (
	leadNone  lead = iota
	leadName       // a name and a colon: a device's, or a program's
	leadCisco      // a number, a mark or a colon, as only Cisco's devices send
)

// namedOffset returns the seconds east of UTC of the zones that have one
// meaning: UTC by its names. RFC 5322 section 4.3 defines some of North
// America's for mail, but CST is China's too, and EST was Australia's.
func namedOffset(name []byte) (offset int, ok bool) {
	switch string(name) {
	case "UTC", "GMT", "UT", "Z":
		return 0, true
	}
	return 0, false
}

// isAbbreviation reports whether name is one that the IANA time zone database
// uses today, other than for UTC.
func isAbbreviation(name []byte) bool {
	switch string(name) {
	case "ACDT", "ACST", "ADT", "AEDT", "AEST", "AKDT", "AKST", "AST", "AWST", "BST", "CAT", "CDT", "CEST", "CET",
		"ChST", "CST", "EAT", "EDT", "EEST", "EET", "EST", "HDT", "HKT", "HST", "IDT", "IST", "JST", "KST", "MDT",
		"MEST", "MET", "MSK", "MST", "NDT", "NST", "NZDT", "NZST", "PDT", "PKT", "PST", "SAST", "SST", "WAT",
		"WEST", "WET", "WIB", "WIT", "WITA":
		return true
	}
	return false
}

// readZone returns the zone that follows a timestamp without one, in Cisco's
// form " ZONE:", or " ZONE :" as Unified Communications Manager has it, and how
// many bytes it takes up to its colon. Location's own name for a time comes
// before UTC's.
//
// An operator may call a zone anything ("clock timezone Berlin 1"). So where
// only Cisco's devices can be at work, any word there is a zone: after their
// lead, and before their mnemonic if it cannot be the name that an ASA puts
// there, as the device's name or a fraction came first. Elsewhere a word is a
// zone if it is a known abbreviation, or looks like one and precedes a
// mnemonic.
func (k *clock) readZone(rest []byte, c *civil, before lead) (z zone, offset, n int) {
	if len(rest) == 0 || rest[0] != ' ' {
		return zoneLocal, 0, 0
	}
	end := len(rest)
	if before == leadNone && c.fraction == nil {
		end = min(end, len(" ACEST")) // no abbreviation is longer
	}
	n = 1
	for n < end && rest[n] != ' ' && rest[n] != ':' && rest[n] != '\t' {
		n++
	}
	name, after := rest[1:n], rest[n:]
	spaced := bytes.HasPrefix(after, []byte(" :"))
	switch {
	case len(name) == 0:
		return zoneLocal, 0, 0
	case spaced:
		n++
	case len(after) == 0 || after[0] != ':':
		// After "name: " it is the text of a program.
		if before != leadName && isOffsetName(name) {
			return zoneUnknown, 0, 0
		}
		return zoneLocal, 0, 0
	}
	mnemonic := isMnemonic(rest[n:])
	anyWord := before == leadCisco && endsWord(rest[n:]) || mnemonic && (before == leadName || c.fraction != nil)
	known, capitals := isAbbreviation(name), isCapitals(name)
	if (known || capitals || anyWord) && k.localZone(c, name) {
		return zoneKnown, k.localOffset(c), n
	}
	if offset, ok := namedOffset(name); ok {
		return zoneKnown, offset, n
	}
	if known || anyWord || isOffsetName(name) || mnemonic && capitals && len(name) >= 3 && !spaced {
		return zoneUnknown, 0, 0
	}
	return zoneLocal, 0, 0
}

// endsWord reports whether the colon that text begins with ends a word.
func endsWord(text []byte) bool { return len(text) == 1 || text[1] == ' ' }

// isCapitals reports whether name is of capitals, as an abbreviation is.
func isCapitals(name []byte) bool {
	for _, c := range name {
		if c-'A' > 'Z'-'A' {
			return false
		}
	}
	return len(name) <= 5
}

// isOffsetName reports whether name is GMT+2 or TZ-6: POSIX counts these
// westward, people eastward. Other letters with a number are hosts: CAT-1,
// WEST-2.
func isOffsetName(name []byte) bool {
	if len(name) < len("UT+2") || name[0] != 'U' && name[0] != 'G' && name[0] != 'T' {
		return false
	}
	n := 2
	if name[n] == 'C' || name[n] == 'T' {
		n++
	}
	switch string(name[:n]) {
	case "UTC", "GMT", "UT", "TZ":
		return n+1 < len(name) && (name[n] == '+' || name[n] == '-') && isDigit(name[n+1])
	}
	return false
}

func isLetter(c byte) bool { return c|0x20-'a' <= 'z'-'a' }
