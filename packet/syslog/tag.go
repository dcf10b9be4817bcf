package syslog

import "bytes"

// class says where in a name a byte is allowed.
type class uint8

const (
	inName    class = 1 << iota // in a TAG
	startName                   // at the start of a TAG
	inHost
	endHost  // at the start or end of a hostname
	inNumber // in an IPv4 address or a number
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

// isHostname reports whether token is a hostname, with underscores as devices use them, or an IPv6
// address (RFC 3164 section 4.1.2, RFC 5424 section 6.2.4).
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

// isNumeric reports whether token consists of digits and dots.
func isNumeric(token []byte) bool {
	for _, c := range token {
		if classes[c]&inNumber == 0 {
			return false
		}
	}
	return true
}

// isNumericHost reports whether a token of digits and dots is a hostname: an IPv4 address, also
// with leading zeros, or a number that is not a time.
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

// cutTag cuts a TAG (RFC 3164 section 4.1.3) and a following space: name[id]: or name: with a space
// or the end after the colon, or name[id] with a space or the end after the bracket. Without a
// colon or a bracket, a word is not known to be a tag.
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

// afterName returns the text after a program's name at the start of text, or all of text without a
// name.
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

// afterUnusualName is afterName for a name that begins with a digit, as Docker's default tag (a
// container's ID), or with a character that syslog-ng's check-program accepts: (systemd), -bash.
// Only a bracket after the name makes the difference to text, and only a letter in the name the
// difference to a number or an address: RFC 3164 section 4.1.3 has alphanumeric characters.
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

// isNumber reports whether text, which is not empty, consists of digits.
func isNumber(text []byte) bool {
	for _, c := range text {
		if !isDigit(c) {
			return false
		}
	}
	return true
}

// bracketedLength returns the length of the PROCID between the bracket at the start of text and the
// next bracket, or 0.
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
