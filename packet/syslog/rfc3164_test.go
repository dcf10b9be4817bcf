package syslog

import (
	"strings"
	"testing"
)

var rfc3164Samples = []sample{
	{"RFC 3164 5.4 example 1", `<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"mymachine","appname":"su","facility":"auth","severity":"crit","message":"'su root' failed for lonvick on /dev/pts/8"}`},
	{"RFC 3164 5.4 example 2", `Use the BFG!`,
		`unparsed {"message":"Use the BFG!"}`},
	{"RFC 3164 5.4 example 2, relayed", `<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!`,
		`rfc3164 {"timestamp":"2024-02-05T17:32:18Z","hostname":"10.0.0.99","facility":"user","severity":"notice","message":"Use the BFG!"}`},
	{"RFC 3164 5.4 example 3: CST is construed as the hostname", `<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time`,
		`rfc3164 {"timestamp":"2023-08-24T05:34:00Z","hostname":"CST","facility":"local4","severity":"notice","message":"1987 mymachine myproc[10]: %% It's time"}`},
	{"RFC 3164 5.4 example 4: no valid timestamp", `<0>1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!`,
		`rfc3164 {"facility":"kern","severity":"emerg","message":"1990 Oct 22 10:52:01 TZ-6 scapegoat.dmz.example.org 10.1.2.3 sched[0]: That's All Folks!"}`},
	{"RFC 3164 4.1.2: day padded with a zero", `<13>Oct 01 22:14:15 h a: x`,
		`rfc3164 {"timestamp":"2023-10-01T22:14:15Z","hostname":"h","appname":"a","facility":"user","severity":"notice","message":"x"}`},
	{"RFC 3164 4.1.2: day not padded", `<13>Oct 1 22:14:15 h a: x`,
		`rfc3164 {"timestamp":"2023-10-01T22:14:15Z","hostname":"h","appname":"a","facility":"user","severity":"notice","message":"x"}`},
	{"RFC 3164 4.1.2: nothing after the timestamp", `<13>Oct  1 22:14:15`,
		`rfc3164 {"timestamp":"2023-10-01T22:14:15Z","facility":"user","severity":"notice"}`},
	{"RFC 3164 4.1.2: nothing after the hostname", `<13>Oct  1 22:14:15 h`,
		`rfc3164 {"timestamp":"2023-10-01T22:14:15Z","hostname":"h","facility":"user","severity":"notice"}`},
	{"a space more in the date", `<13>Oct   1 22:14:15 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Oct   1 22:14:15 h a: x"}`},
	{"impossible date", `<13>Feb 30 22:14:15 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Feb 30 22:14:15 h a: x"}`},
	{"29 February of a year that has none", `<13>Feb 29 2023 22:14:15 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Feb 29 2023 22:14:15 h a: x"}`},
	{"29 February without a year", `<13>Feb 29 22:14:15 h a: x`,
		`rfc3164 {"timestamp":"2024-02-29T22:14:15Z","hostname":"h","appname":"a","facility":"user","severity":"notice","message":"x"}`},
	{"impossible time", `<13>Oct 11 22:14:60 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Oct 11 22:14:60 h a: x"}`},
	{"month in capitals", `<13>OCT 11 22:14:15 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"OCT 11 22:14:15 h a: x"}`},
	{"ten fraction digits", `<13>Oct 11 22:14:15.1234567890 h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Oct 11 22:14:15.1234567890 h a: x"}`},
	{"text at the timestamp's end", `<13>Oct 11 22:14:15h a: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"Oct 11 22:14:15h a: x"}`},
	{"tab after the timestamp", "<13>Oct 11 22:14:15\th a: x",
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"notice","message":"h a: x"}`},
	{"no PRI", `Oct 11 22:14:15 mymachine su[7]: x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"mymachine","appname":"su","procid":"7","message":"x"}`},
	{"no PRI: no spaces are skipped", ` Oct 11 22:14:15 mymachine su[7]: x`,
		`unparsed {"message":" Oct 11 22:14:15 mymachine su[7]: x"}`},
	{"RFC 3164 4.1.2: IPv6 address", `<13>Oct 11 22:14:15 2001:db8::1 su: x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"2001:db8::1","appname":"su","facility":"user","severity":"notice","message":"x"}`},
	{"IPv6 address with a zone", `<13>Oct 11 22:14:15 fe80::1%eth0 x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"fe80::1%eth0","facility":"user","severity":"notice","message":"x"}`},
	{"spaces before hostname and tag", `<13>Oct 11 22:14:15   h   a:  x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","appname":"a","facility":"user","severity":"notice","message":" x"}`},
	{"spaces before what is no tag stay", `<13>Oct 11 22:14:15 h   two words`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","facility":"user","severity":"notice","message":"  two words"}`},
	{"spaces before what is no hostname stay", `<13>Oct 11 22:14:15   (x) two words`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"notice","message":"  (x) two words"}`},
	{"spaces after the PRI, then a timestamp", `<13>  Oct 11 22:14:15 h x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","facility":"user","severity":"notice","message":"x"}`},
	{"spaces after the PRI, then none", `<13>  h x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"  h x"}`},
	{"syslogd(8): repeated", `<46>Oct 11 22:14:15 last message repeated 3 times`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"syslog","severity":"info","message":"last message repeated 3 times"}`},
	{"syslogd(8): repeated, with a hostname", `<46>Oct 11 22:14:15 h last message repeated 3 times`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","facility":"syslog","severity":"info","message":"last message repeated 3 times"}`},
	{"syslogd(8): mark", `<46>Oct 11 22:14:15 -- MARK --`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"syslog","severity":"info","message":"-- MARK --"}`},
	{"a host named last", `<46>Oct 11 22:14:15 last message repeated often`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"last","facility":"syslog","severity":"info","message":"message repeated often"}`},
	{"RFC 5424 6: longest hostname", `<13>Oct 11 22:14:15 ` + strings.Repeat("h", 255) + ` x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"` + strings.Repeat("h", 255) + `","facility":"user","severity":"notice","message":"x"}`},
	{"RFC 5424 6: over-long hostname", `<13>Oct 11 22:14:15 ` + strings.Repeat("h", 256) + ` x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"notice","message":"` + strings.Repeat("h", 256) + ` x"}`},
	{"hostname that ends in a point", `<13>Oct 11 22:14:15 h. x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"notice","message":"h. x"}`},
	{"hostname with an underscore", `<13>Oct 11 22:14:15 fw_01 x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"fw_01","facility":"user","severity":"notice","message":"x"}`},
	{"hostname in brackets", `<13>Oct 11 22:14:15 [2001:db8::1] x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","facility":"user","severity":"notice","message":"[2001:db8::1] x"}`},
}

func TestRFC3164(t *testing.T) { runSamples(t, rfc3164Samples) }

// tag makes a sample of what follows the hostname.
func tag(from, text, want string) sample {
	return sample{from, `<13>Oct 11 22:14:15 h ` + text,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h",` + strings.Replace(want, `"message"`, `"facility":"user","severity":"notice","message"`, 1) + `}`}
}

var tagSamples = []sample{
	tag("RFC 3164 5.3: name and PID", `sshd[12]: x`, `"appname":"sshd","procid":"12","message":"x"`),
	tag("no space after the colon", `sshd[12]:x`, `"appname":"sshd","procid":"12","message":"x"`),
	tag("no colon", `sshd[12] x`, `"appname":"sshd","procid":"12","message":"x"`),
	tag("neither", `sshd[12]x`, `"message":"sshd[12]x"`),
	tag("name and colon", `sshd: x`, `"appname":"sshd","message":"x"`),
	tag("colon inside a word", `sshd:x`, `"message":"sshd:x"`),
	tag("name alone", `sshd x`, `"message":"sshd x"`),
	tag("Postfix", `postfix/smtpd[2201]: x`, `"appname":"postfix/smtpd","procid":"2201","message":"x"`),
	tag("path", `/usr/sbin/cron[99]: x`, `"appname":"/usr/sbin/cron","procid":"99","message":"x"`),
	tag("systemd instance", `getty@tty1.service: x`, `"appname":"getty@tty1.service","message":"x"`),
	tag("procid that is a word", `app[main-1]: x`, `"appname":"app","procid":"main-1","message":"x"`),
	tag("empty procid", `app[]: x`, `"message":"app[]: x"`),
	tag("procid with a space", `app[a b]: x`, `"message":"app[a b]: x"`),
	tag("procid that does not end", `app[12: x`, `"message":"app[12: x"`),
	tag("bracket in procid", `app[1[2]]: x`, `"message":"app[1[2]]: x"`),
	tag("name that begins with a digit", `7zip: x`, `"message":"7zip: x"`),
	tag("name that begins with a bracket", `(root) CMD: x`, `"message":"(root) CMD: x"`),
	tag("RFC 5424 6: longest name", strings.Repeat("a", 48)+`: x`, `"appname":"`+strings.Repeat("a", 48)+`","message":"x"`),
	tag("RFC 5424 6: over-long name", strings.Repeat("a", 49)+`: x`, `"message":"`+strings.Repeat("a", 49)+`: x"`),
	tag("RFC 5424 6: longest procid", `a[`+strings.Repeat("1", 128)+`]: x`, `"appname":"a","procid":"`+strings.Repeat("1", 128)+`","message":"x"`),
	tag("RFC 5424 6: over-long procid", `a[`+strings.Repeat("1", 129)+`]: x`, `"message":"a[`+strings.Repeat("1", 129)+`]: x"`),
	tag("one space of two is the tag's", `a:  x`, `"appname":"a","message":" x"`),
	{"message that is empty", `<13>Oct 11 22:14:15 h a:`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","appname":"a","facility":"user","severity":"notice"}`},
	{"bracket that ends all", `<13>Oct 11 22:14:15 h a[1]`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","hostname":"h","appname":"a","procid":"1","facility":"user","severity":"notice"}`},
	{"no hostname", `<13>Oct 11 22:14:15 sshd[12]: x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","appname":"sshd","procid":"12","facility":"user","severity":"notice","message":"x"}`},
	{"no hostname, no PID", `<13>Oct 11 22:14:15 sshd: x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","appname":"sshd","facility":"user","severity":"notice","message":"x"}`},
	{"no hostname, name in capitals", `<78>Oct 11 22:14:15 CRON: x`,
		`rfc3164 {"timestamp":"2023-10-11T22:14:15Z","appname":"CRON","facility":"cron","severity":"info","message":"x"}`},
	{"tag after the PRI", `<13>sshd[12]: x`,
		`rfc3164 {"appname":"sshd","procid":"12","facility":"user","severity":"notice","message":"x"}`},
	{"hostname after the PRI is not one", `<13>h sshd[12]: x`,
		`rfc3164 {"facility":"user","severity":"notice","message":"h sshd[12]: x"}`},
	{"tag alone", `sshd[12]: x`,
		`unparsed {"message":"sshd[12]: x"}`},
}

func TestTag(t *testing.T) { runSamples(t, tagSamples) }

var plainSamples = []sample{
	{"RFC 3164 4.1.1: PRI 0", `<0>x`, `rfc3164 {"facility":"kern","severity":"emerg","message":"x"}`},
	{"PRI 191", `<191>x`, `rfc3164 {"facility":"local7","severity":"debug","message":"x"}`},
	{"PRI alone", `<13>`, `rfc3164 {"facility":"user","severity":"notice"}`},
	{"PRI 192", `<192>x`, `unparsed {"message":"<192>x"}`},
	{"PRI 00", `<00>x`, `unparsed {"message":"<00>x"}`},
	{"PRI 013", `<013>x`, `unparsed {"message":"<013>x"}`},
	{"PRI 1234", `<1234>x`, `unparsed {"message":"<1234>x"}`},
	{"PRI empty", `<>x`, `unparsed {"message":"<>x"}`},
	{"PRI negative", `<-1>x`, `unparsed {"message":"<-1>x"}`},
	{"PRI open", `<13`, `unparsed {"message":"<13"}`},
	{"no valid PRI before a timestamp", `<013>Oct 11 22:14:15 h x`, `unparsed {"message":"<013>Oct 11 22:14:15 h x"}`},
	{"nothing", ``, `unparsed {}`},
	{"ends only", "\n\x00\r\n\x00", `unparsed {}`},
	{"LF, CRLF and NUL at the end", "<13>x \n\x00\r\n\n\x00", `rfc3164 {"facility":"user","severity":"notice","message":"x "}`},
	{"CR alone stays", "<13>x\r", `rfc3164 {"facility":"user","severity":"notice","message":"x\r"}`},
	{"CR before a NUL stays", "<13>x\r\x00\n", `rfc3164 {"facility":"user","severity":"notice","message":"x\r"}`},
	{"lines and NULs inside stay", "<13>a\nb\x00c\n", `rfc3164 {"facility":"user","severity":"notice","message":"a\nb\u0000c"}`},
	{"not UTF-8", "<13>a\xffb\xe2\x82", "rfc3164 {\"facility\":\"user\",\"severity\":\"notice\",\"message\":\"a\uFFFDb\uFFFD\uFFFD\"}"},
	{"U+2028", "<13>a\u2028b", `rfc3164 {"facility":"user","severity":"notice","message":"a\u2028b"}`},
}

func TestPlain(t *testing.T) { runSamples(t, plainSamples) }

func TestKeywords(t *testing.T) {
	m := Message{Priority: 23*8 + 7, HasPriority: true}
	if m.Facility() != "local7" || m.Severity() != "debug" {
		t.Errorf("got %s.%s", m.Facility(), m.Severity())
	}
	m.HasPriority = false
	if m.Facility() != "" || m.Severity() != "" {
		t.Errorf("got %s.%s without a PRI", m.Facility(), m.Severity())
	}
}
