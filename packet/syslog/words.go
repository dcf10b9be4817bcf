package syslog

import "bytes"

// isKnownNonHostname reports whether a word in the place of the hostname, whose characters are
// those of a hostname, is something else in a documented format. after is the text after the word.
func isKnownNonHostname(word, after []byte) bool {
	switch len(word) {
	case 1:
		// Meraki's version and time, behind a relay's header.
		return word[0] == '1' && len(after) > 1 && isEpoch(after[1:1+tokenEnd(after[1:])])
	case 3:
		if isSecondDate(word, after) {
			return true
		}
	case len("2023-10-11"):
		if scanDate(word, new(civilTime), '-') {
			return true
		}
	}
	return isLevel(word) || isSelector(word) || isSlot(word)
}

// isKnownNonTag reports whether a word before a colon, whose characters are those of a program's
// name, is something else in a documented format. rest begins with the colon.
func isKnownNonTag(word, rest []byte) bool {
	return isLevel(word) || isSelector(word) || isZoneName(word) || isChassisPosition(word) || isEventFormat(word, rest)
}

// isSecondDate reports whether a month or a day of the week begins a date: the sender's own header
// after the header of a relay.
func isSecondDate(word, after []byte) bool {
	if len(after) < 2 || word[0]-'A' > 'Z'-'A' {
		return false
	}
	switch string(word) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return scanBSD(after[1:], new(civilTime)) > 0
	}
	month := monthOf(word)
	if month == 0 {
		return false
	}
	day := trimSpaces(after)
	n := 0
	for n < len(day) && isDigit(day[n]) {
		n++
	}
	return n <= 2 && len(day) > n && day[n] == ' ' && scanTime(afterYear(day[n+1:]), new(civilTime), maxFraction) > 0
}

// afterYear returns the text after a year and a space at the start of text, or all of text.
func afterYear(text []byte) []byte {
	if len(text) > 4 && text[4] == ' ' && isNumber(text[:4]) {
		return text[5:]
	}
	return text
}

// isLevel reports whether word is a severity in upper or lower case, as F5 BIG-IP writes between
// hostname and tag ("bigip1 notice mcpd[5678]: …"), and programs write before their text ("error:
// …").
func isLevel(word []byte) bool {
	if len(word) == 0 || len(word) >= len(levelStarts) || !isLetter(word[len(word)-1]) ||
		levelStarts[len(word)]>>(word[0]|0x20-'a')&1 == 0 {
		return false
	}
	var buf [len(levelStarts)]byte
	small := appendLower(buf[:0], word)
	for _, level := range levels {
		if string(small) == level {
			return true
		}
	}
	return false
}

// levels are the keywords of syslog.conf(5), and the levels of log4j and
// java.util.logging.
var levels = [...]string{
	"emerg", "emergency", "panic", "alert", "crit", "critical", "err", "error", "warning", "warn", "notice",
	"info", "information", "informational", "debug", "fatal", "severe", "trace",
}

// levelStarts has, for each length of a level, a bit for each first letter of levels of the length.
// Few names of hosts and programs match.
var levelStarts = makeLevelStarts()

func makeLevelStarts() (starts [len("informational") + 1]uint32) {
	for _, level := range levels {
		starts[len(level)] |= 1 << (level[0] - 'a')
	}
	return starts
}

// isSelector reports whether word is facility.severity, as BusyBox and OpenWrt
// write between hostname and tag ("router1 user.info app: …").
func isSelector(word []byte) bool {
	if len(word) < len("ftp.err") {
		return false // most words
	}
	n := bytes.IndexByte(word, '.')
	var buf [len("authpriv")]byte
	if n < len("ftp") || n > len(buf) || !isLevel(word[n+1:]) {
		return false
	}
	switch string(appendLower(buf[:0], word[:n])) {
	case "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
		"audit", "alert", "clock", "security", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
		"local7":
		return true
	}
	return false
}

// isChassisPosition reports whether word is a position in a chassis.
func isChassisPosition(word []byte) bool { return isSlot(word) || isNode(word) }

// isSlot reports whether word is a slot of F5's VIPRION, alone or before a
// hostname: slot1, slot1/bigip1.
func isSlot(word []byte) bool {
	const slot = len("slot")
	if !hasPrefix(word, "slot") {
		return false
	}
	n := slot
	for n < len(word) && isDigit(word[n]) {
		n++
	}
	return n > slot && (n == len(word) || word[n] == '/')
}

// isEventFormat reports whether word begins a message in ArcSight's Common Event Format or QRadar's
// LEEF, which some senders write with a space: "CEF: 0|…". rest begins with the colon.
func isEventFormat(word, rest []byte) bool {
	return (string(word) == "CEF" || string(word) == "LEEF") && len(rest) > 2 && isDigit(rest[2])
}

// isEpoch reports whether token is a present time in seconds since 1970, with or without a
// fraction, as Meraki sends: 1764373212.123456789.
func isEpoch(token []byte) bool {
	const digits = len("1764373212")
	return len(token) >= digits && token[0] == '1' && isNumber(token[:digits]) &&
		(len(token) == digits || token[digits] == '.' && isNumber(token[digits+1:]))
}

// appendLower appends word in lower case.
func appendLower(dst, word []byte) []byte {
	for _, c := range word {
		if c-'A' <= 'Z'-'A' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
