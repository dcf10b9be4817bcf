package syslog

import "time"

// maxFraction is the maximum number of fraction digits outside RFC 5424, which allows 6:
// nanoseconds, the resolution of time.Time.
const maxFraction = 9

// monthOf returns the number of the month with an English name of three letters, or 0. Switches of
// Dell and Netgear (FASTPATH) send capitals.
func monthOf(text []byte) int {
	switch string(text) { // does not allocate
	case "Jan", "JAN":
		return int(time.January)
	case "Feb", "FEB":
		return int(time.February)
	case "Mar", "MAR":
		return int(time.March)
	case "Apr", "APR":
		return int(time.April)
	case "May", "MAY":
		return int(time.May)
	case "Jun", "JUN":
		return int(time.June)
	case "Jul", "JUL":
		return int(time.July)
	case "Aug", "AUG":
		return int(time.August)
	case "Sep", "SEP":
		return int(time.September)
	case "Oct", "OCT":
		return int(time.October)
	case "Nov", "NOV":
		return int(time.November)
	case "Dec", "DEC":
		return int(time.December)
	}
	return 0
}

// scanBSD reads an RFC 3164 TIMESTAMP, Mmm dd hh:mm:ss, with the variations of devices: a day with
// a space, a zero or nothing before a single digit, a year after the day (IOS, ASA), before the
// month (NX-OS) or at the end (Junos time-format), a fraction, a clock of 12 hours (Unified
// Communications Manager). The result is the length of the timestamp, or 0.
func scanBSD(text []byte, c *civilTime) int {
	c.year, c.fraction = noYear, nil
	i := 0
	if len(text) > 5 && isDigit(text[0]) {
		if !parseDigits(text[:4], &c.year) || text[4] != ' ' {
			return 0
		}
		i = 5
	}
	if len(text) < i+len("Mmm d hh:mm:ss") || text[i+3] != ' ' {
		return 0
	}
	if c.month = monthOf(text[i : i+3]); c.month == 0 {
		return 0
	}
	i += 4
	switch {
	case text[i] == ' ' && isDigit(text[i+1]):
		c.day = int(text[i+1] - '0')
		i += 2
	case parseDigits(text[i:i+2], &c.day):
		i += 2
	case isDigit(text[i]):
		c.day = int(text[i] - '0')
		i++
	default:
		return 0
	}
	if text[i] != ' ' {
		return 0
	}
	i++
	if c.year == noYear && len(text) > i+5 && text[i+4] == ' ' && parseDigits(text[i:i+4], &c.year) {
		i += 5
	}
	n := scanTime(text[i:], c, maxFraction)
	if n == 0 {
		return 0
	}
	i += n
	if n, ok := scanMeridiem(text[i:], c); ok {
		i += n
	} else {
		return 0
	}
	if c.year == noYear && len(text) > i+5 && text[i] == ' ' && text[i+5] == ' ' && parseDigits(text[i+1:i+5], &c.year) {
		if isPlausible(c.year) {
			i += 5
		} else {
			c.year = noYear
		}
	}
	if !c.isValid() {
		return 0
	}
	return i
}

// isPlausible reports whether a number in the place of a year is a year. A host's name may be a
// number, but hardly such a number.
func isPlausible(year int) bool { return 1970 <= year && year < 2100 }

// scanMeridiem reads AM or PM after a time, and a fraction after AM or PM, as Unified
// Communications Manager writes ("11:40:12 PM.123"). It changes c to a clock of 24 hours, and
// returns the length of the text, 0 without AM or PM. ok is false if the time is not on a clock of
// 12 hours (00:40, 13:40), or the following text is ambiguous.
func scanMeridiem(text []byte, c *civilTime) (n int, ok bool) {
	n = len(" PM")
	if len(text) < n || text[0] != ' ' || text[2]|0x20 != 'm' {
		return 0, true
	}
	half := text[1] | 0x20
	if half != 'a' && half != 'p' {
		return 0, true
	}
	if len(text) > n && text[n] == '.' && c.fraction != nil && len(text) > n+1 && isDigit(text[n+1]) {
		return 0, false // two fractions
	}
	if len(text) > n && text[n] == '.' && c.fraction == nil {
		first := n + 1
		for n = first; n < len(text) && isDigit(text[n]); n++ {
		}
		switch digits := n - first; {
		case digits == 0 && n < len(text) && isLetter(text[n]):
			return 0, true // pm.example.net
		case digits == 0 || digits > maxFraction:
			return 0, false
		}
		c.fraction = text[first:n]
	} else if len(text) > n && (classes[text[n]]&inName != 0 || text[n] == '[') {
		return 0, true // a longer word
	}
	if !endsTimestamp(text[n:]) || c.hour == 0 || c.hour > 12 {
		return 0, false
	}
	c.hour %= 12
	if half == 'p' {
		c.hour += 12
	}
	return n, true
}

// scanUTM reads the timestamp of Sophos UTM, 2023:10:11-22:14:15.
func scanUTM(text []byte, c *civilTime) int {
	const date = len("2023:10:11-")
	if !scanDate(text, c, ':') || len(text) <= date || text[date-1] != '-' {
		return 0
	}
	n := scanTime(text[date:], c, 0)
	if n == 0 || !c.isValid() {
		return 0
	}
	return date + n
}

// scanRFC3339 reads an RFC 3339 timestamp with the rules of RFC 5424 section 6.2.3: T and Z are
// capitals, and leap seconds are not allowed.
func scanRFC3339(text []byte, mostFraction int) int {
	var c civilTime
	const date = len("2023-10-11T")
	if !scanDate(text, &c, '-') || len(text) <= date || text[date-1] != 'T' {
		return 0
	}
	n := scanTime(text[date:], &c, mostFraction)
	if n == 0 || !c.isValid() {
		return 0
	}
	n += date
	var offset int
	z := scanOffset(text[n:], &offset)
	if z == 0 || z == len("+02") || z == len("+0200") {
		return 0
	}
	return n + z
}

// scanISO reads a date and a time of ISO 8601 outside RFC 3339: a space or a small t for the T, a
// comma before the fraction, an offset without a colon or minutes, a small z, or no offset (HPE
// Comware, Huawei). known reports whether the text has an offset.
func scanISO(text []byte, c *civilTime) (n, offset int, known bool) {
	const date = len("2023-10-11T")
	if !scanDate(text, c, '-') || len(text) <= date || text[date-1]|0x20 != 't' && text[date-1] != ' ' {
		return 0, 0, false
	}
	if n = scanTime(text[date:], c, maxFraction); n == 0 {
		return 0, 0, false
	}
	n += date
	if c.fraction == nil && len(text) > n+1 && text[n] == ',' && isDigit(text[n+1]) {
		first := n + 1
		for n = first; n < len(text) && isDigit(text[n]); n++ {
		}
		if n-first > maxFraction {
			return 0, 0, false
		}
		c.fraction = text[first:n]
	}
	z := scanOffset(text[n:], &offset)
	if z == 0 && len(text) > n && text[n] == 'z' {
		z = 1
	}
	if z == 0 {
		m, ok := scanMeridiem(text[n:], c)
		if !ok {
			return 0, 0, false
		}
		n += m
	}
	if !c.isValid() {
		return 0, 0, false
	}
	return n + z, offset, z > 0
}

// scanDate reads yyyy-mm-dd with the separator sep.
func scanDate(text []byte, c *civilTime, sep byte) bool {
	return len(text) >= len("yyyy-mm-dd") && text[4] == sep && text[7] == sep &&
		parseDigits(text[:4], &c.year) && parseDigits(text[5:7], &c.month) && parseDigits(text[8:10], &c.day)
}

// scanTime reads hh:mm:ss and up to mostFraction fraction digits.
func scanTime(text []byte, c *civilTime, mostFraction int) int {
	n := len("hh:mm:ss")
	if len(text) < n || text[2] != ':' || text[5] != ':' ||
		!parseDigits(text[:2], &c.hour) || !parseDigits(text[3:5], &c.minute) || !parseDigits(text[6:8], &c.second) {
		return 0
	}
	c.fraction = nil
	if mostFraction == 0 || len(text) <= n+1 || text[n] != '.' || !isDigit(text[n+1]) {
		return n
	}
	first := n + 1
	for n = first; n < len(text) && isDigit(text[n]); n++ {
		if n-first == mostFraction {
			return 0
		}
	}
	c.fraction = text[first:n]
	return n
}

// scanOffset reads Z, +hh:mm, +hhmm or +hh (or with a minus) into seconds
// east of UTC.
func scanOffset(text []byte, offset *int) int {
	if len(text) == 0 {
		return 0
	}
	if text[0] == 'Z' {
		*offset = 0
		return 1
	}
	var hours, minutes int
	if text[0] != '+' && text[0] != '-' || len(text) < 3 || !parseDigits(text[1:3], &hours) {
		return 0
	}
	n := 3
	switch {
	case len(text) >= 6 && text[3] == ':' && parseDigits(text[4:6], &minutes):
		n = 6
	case len(text) >= 5 && parseDigits(text[3:5], &minutes):
		n = 5
	}
	if hours > 23 || minutes > 59 {
		return 0
	}
	*offset = hours*3600 + minutes*60
	if text[0] == '-' {
		*offset = -*offset
	}
	return n
}

// parseDigits reads text into n, if text consists of digits.
func parseDigits(text []byte, n *int) bool {
	v := 0
	for _, c := range text {
		if !isDigit(c) {
			return false
		}
		v = v*10 + int(c-'0')
	}
	*n = v
	return true
}

// endsTimestamp reports whether a timestamp can end before rest. A colon and a digit continue the
// timestamp: HPE Comware has 22:14:15:003.
func endsTimestamp(rest []byte) bool {
	return len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' ||
		rest[0] == ':' && (len(rest) == 1 || !isDigit(rest[1]))
}
