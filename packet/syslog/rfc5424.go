package syslog

// Maximum lengths of header fields (RFC 5424 section 6), also used for the same fields of RFC 3164.
const (
	maxHostname = 255
	maxAppName  = 48
	maxProcID   = 128
	maxMsgID    = 32
	maxSDName   = 32
)

// byteOrderMark may be at the start of MSG, to mark MSG as UTF-8 (RFC 5424 section 6.4).
const byteOrderMark = "\xEF\xBB\xBF"

// headerFields are the fields of an RFC 5424 header that may be malformed, in order: the values of
// Message.Malformed.
var headerFields = [...]string{"hostname", "appname", "procid", "msgid", "structured_data"}

// decodeRFC5424 decodes the text after the VERSION and its space. The result is false if the
// TIMESTAMP breaks RFC 5424 section 6; m then has no meaning. If a later field breaks section 6, m
// has the fields before, m.Malformed is the field's name, and m.Text begins with the malformed
// field.
func (d *Decoder) decodeRFC5424(m *Message, text []byte) bool {
	var ok bool
	if m.Timestamp, text, ok = cutTimestamp5424(text); !ok {
		return false
	}
	for field, most := range [...]int{maxHostname, maxAppName, maxProcID, maxMsgID} {
		var value []byte
		if value, text, ok = cutField(text, most); !ok {
			m.Malformed, m.Text = headerFields[field], text
			return true
		}
		switch field {
		case 0:
			m.Hostname = value
		case 1:
			m.AppName = value
		case 2:
			m.ProcID = value
		case 3:
			m.MsgID = value
		}
	}
	elements, rest, ok := d.cutStructuredData(text)
	if !ok || len(rest) > 0 && rest[0] != ' ' {
		m.Malformed, m.Text = headerFields[4], text
		return true
	}
	m.StructuredData = elements
	if len(rest) == 0 {
		return true
	}
	rest = rest[1:]
	if len(rest) >= len(byteOrderMark) && string(rest[:len(byteOrderMark)]) == byteOrderMark {
		rest, m.hasBOM = rest[len(byteOrderMark):], true
	}
	m.Text = rest
	return true
}

// cutTimestamp5424 cuts a TIMESTAMP and a space, which may be missing at the end of text. RFC 5424
// allows up to 6 fraction digits; up to 9 are accepted, as .NET (7), Go and Java (9) send.
func cutTimestamp5424(text []byte) (stamp, rest []byte, ok bool) {
	n := 1
	if len(text) == 0 || text[0] != '-' {
		if n = scanRFC3339(text, maxFraction); n == 0 {
			return nil, nil, false
		}
		stamp = text[:n]
	}
	if rest, ok = cutSeparator(text[n:]); !ok {
		return nil, nil, false
	}
	return stamp, rest, true
}

// cutSeparator cuts the space after a header field. At the end of text the space may be missing:
// then the next field is missing, and the field before is not malformed.
func cutSeparator(text []byte) (rest []byte, ok bool) {
	if len(text) == 0 {
		return text, true
	}
	return text[1:], text[0] == ' '
}

// cutField cuts a header field of 1 to maxLength PRINTUSASCII bytes, and the space after the field.
// NILVALUE is an empty field. Without a field, rest is text.
func cutField(text []byte, maxLength int) (field, rest []byte, ok bool) {
	n := 0
	for n < len(text) && text[n] != ' ' {
		if !isPrintASCII(text[n]) || n == maxLength {
			return nil, text, false
		}
		n++
	}
	if n == 0 {
		return nil, text, false
	}
	rest, _ = cutSeparator(text[n:])
	if n == 1 && text[0] == '-' {
		return nil, rest, true
	}
	return text[:n], rest, true
}

// isPrintASCII reports whether c is PRINTUSASCII: %d33-126.
func isPrintASCII(c byte) bool { return c-33 <= 126-33 }
