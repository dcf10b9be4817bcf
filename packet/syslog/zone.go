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

// utcOffset returns the seconds east of UTC of the zones that have one
// meaning: UTC by its names. RFC 5322 section 4.3 defines some of North
// America's for mail, but CST is China's too, and EST was Australia's.
func utcOffset(name []byte) (offset int, ok bool) {
	switch string(name) {
	case "UTC", "GMT", "UT", "Z":
		return 0, true
	}
	return 0, false
}

// isAbbreviation reports whether name is one that the IANA time zone database
// uses or used, other than for UTC, or one of the older names of Europe's and
// Australia's zones that operators and POSIX TZ variables have.
func isAbbreviation(name []byte) bool {
	if len(name) == 0 || name[len(name)-1]-'A' > 'Z'-'A' {
		return false // most
	}
	switch string(name) {
	case "ACDT", "ACST", "ADT", "AEDT", "AEST", "AKDT", "AKST", "AST", "AWDT", "AWST", "BST", "CAT", "CDT", "CEST",
		"CET", "ChST", "CST", "EAT", "EDT", "EEST", "EET", "EST", "HADT", "HAST", "HDT", "HKT", "HST", "IDT", "IST",
		"JST", "KST", "MDT", "MEST", "MET", "MSD", "MSK", "MST", "NDT", "NST", "NZDT", "NZST", "PDT", "PKT", "PST",
		"SAST", "SST", "WAST", "WAT", "WEST", "WET", "WIB", "WIT", "WITA",
		"BRST", "BRT", "CLST", "CLT", "GST", "ICT", "IRDT", "IRST", "MYT", "PHT", "SGT", "TRT", "UYT",
		"AEDST", "AESST", "AUSCST", "AUSEST", "AUSWST", "CETDST", "EETDST", "MESZ", "METDST", "METST", "MEZ",
		"NZDST", "WETDST",
		"CST6CDT", "EST5EDT", "MST7MDT", "PST8PDT":
		return true
	}
	return false
}

// isZoneName reports whether a word is a zone by its name alone: an
// abbreviation, UTC, an offset by name (GMT+2), or an area and a place of the
// IANA time zone database (Europe/Berlin).
func isZoneName(word []byte) bool {
	if len(word) == 0 || word[0]-'A' > 'Z'-'A' {
		return false // most
	}
	if _, ok := utcOffset(word); ok {
		return true
	}
	return isAbbreviation(word) || isOffsetName(word) || isAreaName(word)
}

func isAreaName(word []byte) bool {
	n := bytes.IndexByte(word, '/')
	if n < 0 || n+1 == len(word) || word[n+1]-'A' > 'Z'-'A' {
		return false
	}
	switch string(word[:n]) {
	case "Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Etc", "Europe", "Indian", "Pacific":
		return true
	}
	return false
}

const (
	longestZone  = len("America/Argentina/ComodRivadavia") // of the IANA time zone database
	longestCisco = 7                                       // "clock timezone" (IOS Basic System Management)
)

// readZone returns the zone that follows a timestamp without one, and how many
// bytes it takes: " ZONE", or Cisco's " ZONE:", or " ZONE :" as Unified
// Communications Manager has it, up to its colon. Location's own name for a
// time comes before UTC's.
//
// Without a colon a word is a zone by its name alone. With one, it may be what
// an operator has called it ("clock timezone Berlin 1"). So where only Cisco's
// devices can be at work, any word there is a zone: after their lead, and
// before their mnemonic if it cannot be the name that an ASA puts there, as
// the device's name or a fraction came first. Before another mnemonic than an
// ASA's, a word of letters may be a zone or a device.
func (k *clock) readZone(rest []byte, c *civilTime, before lead) (z zone, offset, n int) {
	if len(rest) < 2 || rest[0] != ' ' {
		return zoneLocal, 0, 0
	}
	if rest[1] == '+' || rest[1] == '-' {
		return k.readOffset(rest, c, before)
	}
	n = zoneEnd(rest)
	name, after := rest[1:n], rest[n:]
	spaced := hasPrefix(after, " :")
	switch {
	case len(name) == 0 || len(name) > longestZone:
		return zoneLocal, 0, 0
	case spaced:
		n++
	case len(after) == 0 || after[0] != ':':
		// After "name: " it is the text of a program.
		if before == leadName || !isZoneName(name) && !isCapitals(name) {
			return zoneLocal, 0, 0
		}
		if offset, ok := k.zoneNameOffset(c, name); ok {
			return zoneKnown, offset, n
		}
		if isZoneName(name) {
			return zoneUnknown, 0, 0
		}
		return zoneLocal, 0, 0
	}
	mnemonic := isMnemonic(rest[n:])
	anyWord := before == leadCisco && endsWord(rest[n:]) || mnemonic && (before == leadName || c.fraction != nil)
	known, capitals := isZoneName(name), isCapitals(name)
	if known || capitals || anyWord {
		if offset, ok := k.zoneNameOffset(c, name); ok {
			return zoneKnown, offset, n
		}
	}
	if known || anyWord || mnemonic && !spaced && capitals && len(name) >= 3 ||
		mnemonic && isLetters(name) && 3 <= len(name) && len(name) <= longestCisco && !isFirewall(rest[n:]) {
		return zoneUnknown, 0, 0
	}
	return zoneLocal, 0, 0
}

// nameOffset returns the offset of a zone by its name, if it is known.
func (k *clock) zoneNameOffset(c *civilTime, name []byte) (offset int, ok bool) {
	if offset, ok = k.locationOffset(c, name); ok {
		return offset, true
	}
	return utcOffset(name)
}

// readOffset is readZone for a sign and digits: " +0000:", as Cisco's "show
// timezone" has it where a zone has no name, or " -0500" and " +05:30" before a
// hostname. A sign and two digits (the names of zones in Brazil, say) may also
// be a number, unless Cisco's colon follows.
func (k *clock) readOffset(rest []byte, c *civilTime, before lead) (z zone, offset, n int) {
	n = 2
	for n < len(rest) && isDigit(rest[n]) {
		n++
	}
	digits := n - 2
	if digits == 2 && n+2 < len(rest) && rest[n] == ':' && isDigit(rest[n+1]) && isDigit(rest[n+2]) {
		n, digits = n+3, 4
	}
	after := rest[n:]
	colon := len(after) > 0 && after[0] == ':' && endsWord(after) || hasPrefix(after, " :")
	if digits != 2 && digits != 4 || !colon && (before == leadName || len(after) > 0 && after[0] != ' ' && after[0] != '\t') {
		return zoneLocal, 0, 0
	}
	offset, ok := k.locationOffset(c, rest[1:n])
	if !ok {
		ok = scanOffset(rest[1:n], &offset) == n-1 && (colon || digits == 4 && isZoneOffset(offset))
	}
	if !ok {
		return zoneUnknown, 0, 0
	}
	if len(after) > 0 && after[0] == ' ' && colon {
		n++
	}
	return zoneKnown, offset, n
}

// isZoneOffset reports whether some zone of today has the offset: from 12 hours
// west to 14 hours east, in quarters of an hour.
func isZoneOffset(offset int) bool {
	return -12*3600 <= offset && offset <= 14*3600 && offset%(15*60) == 0
}

// zoneEnd returns where the word after the space ends that rest begins with.
func zoneEnd(rest []byte) int {
	n := 1
	for n < len(rest) && n <= longestZone+1 && rest[n] != ' ' && rest[n] != ':' && rest[n] != '\t' {
		n++
	}
	return n
}

// yearAfterZone returns the year in the place where it is in the output of
// date(1), after a zone ("Oct 11 22:14:15 UTC 2023"), or noYear. Whether the
// word before it is a zone is for the caller to see.
func yearAfterZone(rest []byte) int {
	if len(rest) < len(" Z 2023") || rest[0] != ' ' || !startsZone(rest[1]) {
		return noYear
	}
	n := zoneEnd(rest)
	year := noYear
	if len(rest) < n+len(" 2023") || rest[n] != ' ' || len(rest) > n+5 && rest[n+5] != ' ' && rest[n+5] != ':' ||
		!parseDigits(rest[n+1:n+5], &year) || !isPlausible(year) {
		return noYear
	}
	return year
}

// startsZone reports whether c begins a zone that no colon marks: a capital or
// a sign.
func startsZone(c byte) bool { return c-'A' <= 'Z'-'A' || c == '+' || c == '-' }

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

func isLetters(name []byte) bool {
	for _, c := range name {
		if !isLetter(c) {
			return false
		}
	}
	return true
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
