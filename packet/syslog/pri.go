package syslog

// Keywords as rsyslog prints them (syslogfacility-text and syslogseverity-text in rsyslog's
// "Properties"): RFC 5424 section 6.2.1 has numbers and descriptions only.
var (
	facilities = [...]string{
		"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
		"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	}
	severities = [...]string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"}
)

// maxPriority is local7.debug (RFC 5424 section 6.2.1).
const maxPriority = 191

// Facility returns the keyword of the PRI's facility, or "" without a PRI.
func (m *Message) Facility() string {
	if !m.HasPriority {
		return ""
	}
	return facilities[m.Priority/8]
}

// Severity returns the keyword of the PRI's severity, or "" without a PRI.
func (m *Message) Severity() string {
	if !m.HasPriority {
		return ""
	}
	return severities[m.Priority%8]
}

// cutPriority cuts a PRI from the start of text: <0> to <191>, without leading zeros (RFC 3164
// section 4.1.1, RFC 5424 section 6.2.1).
func cutPriority(text []byte) (priority uint8, rest []byte, ok bool) {
	if len(text) < 3 || text[0] != '<' {
		return 0, text, false
	}
	n, i := 0, 1
	for i < len(text) && i < 4 && isDigit(text[i]) {
		n = n*10 + int(text[i]-'0')
		i++
	}
	switch {
	case i == 1, i == len(text), text[i] != '>', n > maxPriority, text[1] == '0' && i > 2:
		return 0, text, false
	}
	return uint8(n), text[i+1:], true
}

func isDigit(c byte) bool { return c-'0' <= 9 }
