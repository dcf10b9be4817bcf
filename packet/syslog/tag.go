package syslog

import "bytes"

// class says where in a name a byte may stand.
type class uint8

const (
	inName    class = 1 << iota // of a TAG
	startName                   // of a TAG
	inHost
	endHost  // or start
	inNumber // of an IPv4 address, or alone
)

var classes = makeClasses()

func makeClasses() (classes [256]class) {
	for c := range 256 {
		switch c := byte(c); {
		case isLetter(c):
			classes[c] = inName | startName | inHost | endHost
		case isDigit(c):
			classes[c] = inName | inHost | endHost | inNumber
		}
	}
	for _, c := range []byte("_-./@+()~#") {
		classes[c] |= inName
	}
	classes['_'] |= startName
	classes['/'] |= startName
	for _, c := range []byte("._-") {
		classes[c] |= inHost
	}
	classes['.'] |= inNumber
	return classes
}

// isHostname reports whether token is a host's name, with the underscore that
// devices use, or an IPv6 address (RFC 3164 section 4.1.2, RFC 5424 section 6.2.4).
func isHostname(token []byte) bool {
	if len(token) == 0 || len(token) > maxHostname {
		return false
	}
	for _, c := range token {
		if classes[c]&inHost == 0 {
			return isIPv6(token)
		}
	}
	if classes[token[0]]&inNumber != 0 && isNumeric(token) {
		return isNumericHost(token)
	}
	return classes[token[0]]&classes[token[len(token)-1]]&endHost != 0
}

// isNumeric reports whether token is of digits and dots.
func isNumeric(token []byte) bool {
	for _, c := range token {
		if classes[c]&inNumber == 0 {
			return false
		}
	}
	return true
}

// isNumericHost reports whether a token of digits and dots is a host's name: an
// IPv4 address, also with leading zeros, or a number that is no time.
func isNumericHost(token []byte) bool {
	if bytes.IndexByte(token, '.') < 0 {
		return !isEpoch(token)
	}
	for part := 1; ; part++ {
		n, value := 0, 0
		for ; n < len(token) && token[n] != '.'; n++ {
			if n == len("255") {
				return false
			}
			value = value*10 + int(token[n]-'0')
		}
		switch {
		case n == 0 || value > 255:
			return false
		case part == 4:
			return n == len(token)
		case n == len(token):
			return false
		}
		token = token[n+1:]
	}
}

// cutTag takes a TAG (RFC 3164 section 4.1.3) and a space after it: name[id]:
// or name: with a space or nothing after the colon, or name[id] with a space
// or nothing after the bracket. Without a colon or a bracket nothing says
// that a word is a tag.
func (m *Message) cutTag(text []byte) (rest []byte, ok bool) {
	rest = afterName(text)
	usual := len(rest) < len(text)
	if !usual {
		rest = afterUnusualName(text)
	}
	name := text[:len(text)-len(rest)]
	if len(name) == 0 || len(rest) == 0 {
		return text, false
	}
	switch rest[0] {
	case ':':
		if len(rest) > 1 && rest[1] != ' ' || isKnownNonTag(name, rest) {
			return text, false
		}
		m.AppName = name
		return cutSpace(rest[1:]), true
	case '[':
		id := bracketedLength(rest)
		if id == 0 || isChassisPosition(name) {
			return text, false
		}
		procID, after := rest[1:id+1], rest[id+2:]
		switch {
		case len(after) > 0 && after[0] == ':':
			after = after[1:]
		case len(after) > 0 && after[0] != ' ':
			return text, false
		case !usual && !(isDigit(name[0]) && isNumber(procID)):
			return text, false // "2nd[try] failed" is text
		}
		m.AppName, m.ProcID = name, procID
		return cutSpace(after), true
	}
	return text, false
}

// afterName returns what follows a program's name at the start of text: all
// of text if there is none.
func afterName(text []byte) []byte {
	if len(text) == 0 || classes[text[0]]&startName == 0 {
		return text
	}
	n := 1
	for n < len(text) && classes[text[n]]&inName != 0 {
		if n++; n > maxAppName {
			return text
		}
	}
	return text[n:]
}

// afterOddName is afterName for a name that begins with a digit, as Docker's
// default tag does (a container's ID), or with what syslog-ng's check-program
// takes: (systemd), -bash. Only a bracket after it tells it from text, and
// only a letter in it from a number or an address: RFC 3164 section 4.1.3 has
// alphanumeric characters.
func afterUnusualName(text []byte) []byte {
	n, letter := 0, false
	for n < len(text) && classes[text[n]]&inName != 0 {
		letter = letter || isLetter(text[n])
		if n++; n > maxAppName {
			return text
		}
	}
	if !letter || n == len(text) || text[n] != '[' {
		return text
	}
	return text[n:]
}

// isNumber reports whether text, which is not empty, is of digits.
func isNumber(text []byte) bool {
	for _, c := range text {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// bracketed returns the length of the PROCID between the bracket that text
// begins with and the next one, or 0.
func bracketedLength(text []byte) int {
	for i, c := range text[1:] {
		switch {
		case c == ']':
			return i
		case c == '[', !isPrintASCII(c), i == maxProcID:
			return 0
		}
	}
	return 0
}
