package syslog

// The most bytes that a header field may have (RFC 5424 section 6). They
// bound the same fields of RFC 3164 too.
const (
	maxHostname = 255
	maxAppName  = 48
	maxProcID   = 128
	maxMsgID    = 32
	maxSDName   = 32
)

// byteOrderMark may stand at the start of MSG, to say that it is UTF-8
// (RFC 5424 section 6.4).
const byteOrderMark = "\xEF\xBB\xBF"

// rfc5424 decodes what follows the VERSION and its space. It reports false if
// that breaks the grammar of RFC 5424 section 6; m then has no meaning.
func (d *Decoder) rfc5424(m *Message, text []byte) bool {
	var ok bool
	if m.Timestamp, text, ok = cutTimestamp5424(text); !ok {
		return false
	}
	if m.Hostname, text, ok = cutField(text, maxHostname); !ok {
		return false
	}
	if m.AppName, text, ok = cutField(text, maxAppName); !ok {
		return false
	}
	if m.ProcID, text, ok = cutField(text, maxProcID); !ok {
		return false
	}
	if m.MsgID, text, ok = cutField(text, maxMsgID); !ok {
		return false
	}
	if m.StructuredData, text, ok = d.cutStructuredData(text); !ok {
		return false
	}
	if len(text) == 0 {
		return true
	}
	if text[0] != ' ' {
		return false
	}
	text = text[1:]
	if len(text) >= len(byteOrderMark) && string(text[:len(byteOrderMark)]) == byteOrderMark {
		text = text[len(byteOrderMark):]
	}
	m.Text = text
	return true
}

// cutTimestamp5424 takes a TIMESTAMP and the space after it.
func cutTimestamp5424(text []byte) (stamp, rest []byte, ok bool) {
	if len(text) >= 2 && text[0] == '-' && text[1] == ' ' {
		return nil, text[2:], true
	}
	const secondFraction = 6 // TIME-SECFRAC = "." 1*6DIGIT
	n := scanRFC3339(text, secondFraction)
	if n == 0 || n == len(text) || text[n] != ' ' {
		return nil, nil, false
	}
	return text[:n], text[n+1:], true
}

// cutField takes a header field of 1 to most PRINTUSASCII bytes, and the
// space after it. NILVALUE is no field.
func cutField(text []byte, most int) (field, rest []byte, ok bool) {
	for i, c := range text {
		if c == ' ' {
			switch {
			case i == 0 || i > most:
				return nil, nil, false
			case i == 1 && text[0] == '-':
				return nil, text[2:], true
			}
			return text[:i], text[i+1:], true
		}
		if !isPrintASCII(c) || i == most {
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// isPrintASCII reports whether c is PRINTUSASCII: %d33-126.
func isPrintASCII(c byte) bool { return c-33 <= 126-33 }
