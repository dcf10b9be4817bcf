package syslog

import "bytes"

// zone says what is known about a timestamp's zone.
type zone uint8

const (
	zoneLocal   zone = iota // no zone: the sender is in Decoder.Location
	zoneKnown               // an offset
	zoneUnknown             // a name with several meanings
)

// lead is the kind of text before a timestamp, which decides the meaning of the word after the
// timestamp.
type lead uint8

const (
	leadNone  lead = iota
	leadName       // a name and a colon: the name of a device or a program
	leadCisco      // a number, a mark or a colon, sent by Cisco's devices only
)

// utcOffset returns the offset in seconds east of UTC of zones with a single meaning: the names of
// UTC. RFC 5322 section 4.3 defines some zones of North America for mail, but CST is also China's,
// and EST was also Australia's.
func utcOffset(name []byte) (offset int, ok bool) {
	switch string(name) {
	case "UTC", "GMT", "UT", "Z":
		return 0, true
	}
	return 0, false
}

// isAbbreviation reports whether name is a present or former abbreviation of the IANA time zone
// database, other than UTC's names, or an older name of a European or Australian zone, as used by
// operators and in POSIX TZ variables.
func isAbbreviation(name []byte) bool {
	if len(name) == 0 || name[len(name)-1]-'A' > 'Z'-'A' {
		return false // most words
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

// isZoneName reports whether a word is the name of a zone: an abbreviation, UTC, an offset by name
// (GMT+2), or an area and a place of the IANA time zone database (Europe/Berlin).
func isZoneName(word []byte) bool {
	if len(word) == 0 || word[0]-'A' > 'Z'-'A' {
		return false // most words
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

// readZone returns the zone after a timestamp, and its length in rest: " ZONE", or Cisco's "
// ZONE:", or " ZONE :" of Unified Communications Manager, without the colon. Location's name for a
// zone has precedence over UTC's names.
//
// Without a colon, a word is a zone if isZoneName reports so, or if Location has a zone with the
// name. With a colon, the word may be a name that an operator has chosen ("clock timezone Berlin
// 1"). So where the sender can only be a Cisco device, any word is a zone: after a Cisco lead; and
// before a Cisco mnemonic if the word cannot be the device's name that an ASA puts there, because
// the device's name or a fraction came first. Before a mnemonic of other devices than an ASA, a
// word of letters may be a zone or a device.
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
		// After "name: " the word is the text of a program.
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

// zoneNameOffset returns the offset of a zone with a known name.
func (k *clock) zoneNameOffset(c *civilTime, name []byte) (offset int, ok bool) {
	if offset, ok = k.locationOffset(c, name); ok {
		return offset, true
	}
	return utcOffset(name)
}

// readOffset is readZone for a sign and digits: " +0000:", from Cisco's "show timezone" for a zone
// without a name, or " -0500" and " +05:30" before a hostname. A sign and two digits (as in the
// names of zones in Brazil) may also be a number, unless Cisco's colon follows.
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

// isZoneOffset reports whether a present zone has the offset: from 12 hours west to 14 hours east,
// in quarters of an hour.
func isZoneOffset(offset int) bool {
	return -12*3600 <= offset && offset <= 14*3600 && offset%(15*60) == 0
}

// zoneEnd returns the end of the word after the space at the start of rest.
func zoneEnd(rest []byte) int {
	n := 1
	for n < len(rest) && n <= longestZone+1 && rest[n] != ' ' && rest[n] != ':' && rest[n] != '\t' {
		n++
	}
	return n
}

// yearAfterZone returns the year after a zone, as in the output of date(1) ("Oct 11 22:14:15 UTC
// 2023"), or noYear. The caller has to check the zone.
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

// startsZone reports whether c can begin a zone without a colon: a capital or a sign.
func startsZone(c byte) bool { return c-'A' <= 'Z'-'A' || c == '+' || c == '-' }

// endsWord reports whether the colon at the start of text ends a word.
func endsWord(text []byte) bool { return len(text) == 1 || text[1] == ' ' }

// isCapitals reports whether name consists of at most five capitals, as an abbreviation.
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

// isOffsetName reports whether name is GMT+2 or TZ-6. POSIX counts such offsets westward, people
// count eastward. Other letters with a number are hosts: CAT-1, WEST-2.
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
