package syslog

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	gosyslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

// The oracle is github.com/leodido/go-syslog, a grammar of RFC 5424 compiled by Ragel. For each
// datagram its fields must equal ours, with these intended differences:
//
//   - Newlines and NULs at the end are cut before the oracle reads the datagram.
//   - The oracle accepts versions up to 999. Only version 1 is defined, so after another version
//     we decode nothing.
//   - The oracle refuses a backslash that escapes nothing, which is a backslash by RFC 5424 section
//     6.3.3, and values that are not UTF-8. We repair such values. The oracle gets a repaired copy.
//   - For a repeated name, the oracle keeps the last value. We keep all values.
//   - The oracle leaves the BOM in MSG.
//   - The oracle refuses fractions of seven to nine digits, which .NET, Go and Java send. The oracle
//     gets a copy with six digits.
//   - The oracle refuses a header with a malformed field. We keep the fields before. The fields that
//     the oracle has read by then must be equal.
func newOracle() gosyslog.Machine { return rfc5424.NewParser(rfc5424.WithBestEffort()) }

var (
	longFraction = regexp.MustCompile(`\A(<[0-9]{1,3}>1 [^ ]{19}\.[0-9]{6})[0-9]{1,3}([^0-9])`)
	fraction7    = regexp.MustCompile(`(\.[0-9]{6})[0-9]{1,3}`)
)

var otherVersion = regexp.MustCompile(`\A<[0-9]{1,3}>([2-9]|[1-9][0-9]{1,2}) `)

func checkOracle(t *testing.T, oracle gosyslog.Machine, text []byte) {
	t.Helper()
	d := Decoder{Location: time.UTC}
	var m Message
	d.Decode(&m, text, receivedAt)
	text = trimEnd(text)
	if otherVersion.Match(text) {
		if m.Format == RFC5424 {
			t.Errorf("%q: taken for RFC 5424", text)
		}
		return
	}

	asked := canonical(text, &m)
	if m.Format == RFC5424 {
		asked = longFraction.ReplaceAll(asked, []byte("$1$2"))
		m.Timestamp = fraction7.ReplaceAll(m.Timestamp, []byte("$1"))
	}
	parsed, err := oracle.Parse(asked)
	accepted := err == nil && parsed.Valid()
	if ours := m.Format == RFC5424 && m.Malformed == ""; ours != accepted {
		t.Fatalf("%q: we say %s, malformed %q, the oracle %v", text, m.Format, m.Malformed, err)
	}
	if !accepted {
		checkPartial(t, text, &m, parsed)
		return
	}
	theirs := parsed.(*rfc5424.SyslogMessage)
	if *theirs.Priority != m.Priority {
		t.Errorf("%q: PRI %d, theirs %d", text, m.Priority, *theirs.Priority)
	}
	same := func(what string, ours []byte, theirs *string) {
		t.Helper()
		if theirs == nil && len(ours) > 0 || theirs != nil && string(ours) != *theirs {
			t.Errorf("%q: %s %q, theirs %v", text, what, ours, theirs)
		}
	}
	same("HOSTNAME", m.Hostname, theirs.Hostname)
	same("APP-NAME", m.AppName, theirs.Appname)
	same("PROCID", m.ProcID, theirs.ProcID)
	same("MSGID", m.MsgID, theirs.MsgID)
	if (theirs.Timestamp == nil) != (m.Timestamp == nil) {
		t.Errorf("%q: TIMESTAMP %q, theirs %v", text, m.Timestamp, theirs.Timestamp)
	} else if theirs.Timestamp != nil {
		if at, err := time.Parse(time.RFC3339Nano, string(m.Timestamp)); err != nil || !at.Equal(*theirs.Timestamp) {
			t.Errorf("%q: TIMESTAMP %q, theirs %v", text, m.Timestamp, theirs.Timestamp)
		}
	}
	message := m.Text
	if theirs.Message != nil && bytes.HasPrefix([]byte(*theirs.Message), []byte(byteOrderMark)) {
		message = append([]byte(byteOrderMark), message...) // the oracle keeps the BOM
	}
	same("MSG", message, theirs.Message)

	var elements map[string]map[string]string
	if theirs.StructuredData != nil {
		elements = *theirs.StructuredData
	}
	if len(elements) != len(m.StructuredData) {
		t.Fatalf("%q: %d elements, theirs %v", text, len(m.StructuredData), elements)
	}
	for _, e := range m.StructuredData {
		want, ok := elements[string(e.ID)]
		if !ok {
			t.Errorf("%q: element %q, theirs %v", text, e.ID, elements)
		}
		// The oracle has the last value of a repeated name.
		got := map[string]string{}
		for _, p := range e.Params {
			got[string(p.Name)] = unescapedValue(&p)
		}
		if len(got) != len(want) {
			t.Errorf("%q: element %q has %q, theirs %q", text, e.ID, got, want)
		}
		for name, value := range got {
			if want[name] != value {
				t.Errorf("%q: param %q is %q, theirs %q", text, name, value, want[name])
			}
		}
	}
}

// checkPartial compares the fields before a malformed field with the fields of the oracle, which
// may have fewer: the oracle wants a space after a field.
func checkPartial(t *testing.T, text []byte, m *Message, parsed gosyslog.Message) {
	t.Helper()
	theirs, ok := parsed.(*rfc5424.SyslogMessage)
	if !ok || theirs == nil || m.Format != RFC5424 {
		return
	}
	for field, values := range map[string]struct {
		ours   []byte
		theirs *string
	}{
		"HOSTNAME": {m.Hostname, theirs.Hostname}, "APP-NAME": {m.AppName, theirs.Appname},
		"PROCID": {m.ProcID, theirs.ProcID}, "MSGID": {m.MsgID, theirs.MsgID},
	} {
		if values.theirs != nil && string(values.ours) != *values.theirs {
			t.Errorf("%q, malformed %s: %s %q, theirs %q", text, m.Malformed, field, values.ours, *values.theirs)
		}
	}
}

// canonical returns text with each value of the structured data in UTF-8, and with correct escapes.
func canonical(text []byte, m *Message) []byte {
	var out []byte
	end := 0
	for _, e := range m.StructuredData {
		for _, p := range e.Params {
			start := cap(text) - cap(p.Value)
			out = append(out, text[end:start]...)
			out = append(out, toEscape.ReplaceAllString(unescapedValue(&p), `\$0`)...)
			end = start + len(p.Value)
		}
	}
	return append(out, text[end:]...)
}

var toEscape = regexp.MustCompile(`["\\\]]`)

func TestOracle(t *testing.T) {
	oracle := newOracle()
	for _, s := range samples() {
		t.Run(s.from, func(t *testing.T) { checkOracle(t, oracle, []byte(s.in)) })
	}
	for form, lines := range benchLines {
		t.Run(form, func(t *testing.T) {
			for _, line := range lines {
				checkOracle(t, oracle, []byte(line))
			}
		})
	}
}

func FuzzOracle(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.in))
	}
	oracle := newOracle()
	f.Fuzz(func(t *testing.T, text []byte) { checkOracle(t, oracle, text) })
}
