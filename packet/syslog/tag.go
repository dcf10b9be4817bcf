package syslog

// class says where in a name a byte may stand.
type class uint8

const (
	inName    class = 1 << iota // of a TAG
	startName                   // of a TAG
	inHost
	endHost // or start
)

var classes = makeClasses()

func makeClasses() (classes [256]class) {
	for c := range 256 {
		switch c := byte(c); {
		case isLetter(c):
			classes[c] = inName | startName | inHost | endHost
		case isDigit(c):
			classes[c] = inName | inHost | endHost
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
	return classes[token[0]]&classes[token[len(token)-1]]&endHost != 0
}

// cutTag takes a TAG (RFC 3164 section 4.1.3) and a space after it: name[id]:
// or name: with a space or nothing after the colon, or name[id] with a space
// or nothing after the bracket. Without a colon or a bracket nothing says
// that a word is a tag.
func (m *Message) cutTag(text []byte) (rest []byte, ok bool) {
	rest = afterName(text)
	n := len(text) - len(rest)
	if n == 0 || len(rest) == 0 {
		return text, false
	}
	switch rest[0] {
	case ':':
		if len(rest) > 1 && rest[1] != ' ' {
			return text, false
		}
		m.AppName = text[:n]
		return cutSpace(rest[1:]), true
	case '[':
		id := bracketed(rest)
		if id == 0 {
			return text, false
		}
		after := rest[id+2:]
		switch {
		case len(after) == 0:
		case after[0] == ':':
			after = after[1:]
		case after[0] != ' ':
			return text, false
		}
		m.AppName, m.ProcID = text[:n], rest[1:id+1]
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

// bracketed returns the length of the PROCID between the bracket that text
// begins with and the next one, or 0.
func bracketed(text []byte) int {
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
