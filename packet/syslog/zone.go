package syslog

import "bytes"

// zone is what a timestamp says of its offset.
type zone uint8

const (
	zoneLocal   zone = iota // nothing: the sender is in Decoder.Location
	zoneKnown               // an offset
	zoneUnknown             // an abbreviation that has no one meaning
)

// namedOffset returns the seconds east of UTC of the zones that RFC 5322
// section 4.3 defines, and of UTC's other names.
func namedOffset(name []byte) (offset int, ok bool) {
	const hour = 3600
	switch string(name) {
	case "UTC", "GMT", "UT", "Z":
		return 0, true
	case "EDT":
		return -4 * hour, true
	case "EST", "CDT":
		return -5 * hour, true
	case "CST", "MDT":
		return -6 * hour, true
	case "MST", "PDT":
		return -7 * hour, true
	case "PST":
		return -8 * hour, true
	}
	return 0, false
}

// isAbbreviation reports whether name is one that the IANA time zone database
// uses today, and of which RFC 5322 does not say what it means.
func isAbbreviation(name []byte) bool {
	switch string(name) {
	case "ACDT", "ACST", "ADT", "AEDT", "AEST", "AKDT", "AKST", "AST", "AWST", "BST", "CAT", "CEST", "CET",
		"ChST", "EAT", "EEST", "EET", "HDT", "HKT", "HST", "IDT", "IST", "JST", "KST", "MEST", "MET", "MSK",
		"NDT", "NST", "NZDT", "NZST", "PKT", "SAST", "SST", "WAT", "WEST", "WET", "WIB", "WIT", "WITA":
		return true
	}
	return false
}

// readZone returns the zone that follows a timestamp without one, in Cisco's
// form " ZONE:", and how many bytes it takes up to its colon. A space before
// the colon, as Unified Communications Manager has it, is for the zones that
// are known: else it ends an ASA's name. Location's own name for a time comes
// before RFC 5322's. cisco says that the datagram is known to be Cisco's,
// where any word in capitals is a zone: what the operator has called it.
func (k *clock) readZone(rest []byte, c *civil, cisco bool) (z zone, offset, n int) {
	const longest = 5
	n = 1
	capitals := true
	for n < len(rest) && n <= longest && isLetter(rest[n]) {
		capitals = capitals && rest[n] < 'a'
		n++
	}
	if n == 1 || n == len(rest) || rest[0] != ' ' {
		return zoneLocal, 0, 0
	}
	name := rest[1:n]
	switch after := rest[n:]; {
	case after[0] == '+' || after[0] == '-':
		// GMT+2, TZ-6: POSIX counts these westward, people eastward.
		if len(after) > 1 && isDigit(after[1]) && isZoneBase(name) {
			return zoneUnknown, 0, 0
		}
		return zoneLocal, 0, 0
	case after[0] == ':':
		cisco = cisco || isMnemonic(after)
	case bytes.HasPrefix(after, []byte(" :")):
		cisco = false
		n++
	default:
		return zoneLocal, 0, 0
	}
	known := isAbbreviation(name)
	if (known || capitals) && k.localZone(c, name) {
		return zoneKnown, k.localOffset(c), n
	}
	if offset, ok := namedOffset(name); ok {
		return zoneKnown, offset, n
	}
	if known || cisco && capitals && len(name) >= 3 {
		return zoneUnknown, 0, 0
	}
	return zoneLocal, 0, 0
}

// isZoneBase reports whether a number after name makes an offset of it. Other
// abbreviations with a number are hosts': CAT-1, WEST-2.
func isZoneBase(name []byte) bool {
	switch string(name) {
	case "UTC", "GMT", "UT", "TZ":
		return true
	}
	return false
}

func isLetter(c byte) bool { return c|0x20-'a' <= 'z'-'a' }
