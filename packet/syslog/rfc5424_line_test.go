package syslog

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	gosyslog "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

var (
	lineReceived = time.Date(2023, 10, 11, 22, 14, 15, 3_182_999, time.FixedZone("", 7200))
	lineSource   = netip.MustParseAddrPort("192.0.2.1:514")
)

func TestAppendRFC5424(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"RFC 5424", `<165>1 2023-10-11T22:14:15.003Z web1 app 8710 ID47 [ex@32473 iut="3"] An entry` + "\n",
			`<165>1 2023-10-11T22:14:15.003Z web1 app 8710 ID47 [ex@32473 iut="3"][udpshard@32473 ip="192.0.2.1" port="514"] An entry`},
		{"no values", `<0>1 - - - - - -`,
			`<0>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip="192.0.2.1" port="514"]`},
		{"RFC 3164", `<34>Oct 11 22:14:15 host1 su[230]: 'su root' failed`,
			`<34>1 2023-10-11T22:14:15Z host1 su 230 - [udpshard@32473 ip="192.0.2.1" port="514"] 'su root' failed`},
		{"text before a field", `<189>29: rtr1: 000033: *Oct 11 18:48:50.483 UTC: %SYS-5-CONFIG_I: x`,
			`<189>1 2023-10-11T18:48:50.483Z rtr1 - - - [udpshard@32473 ip="192.0.2.1" port="514"] 29: 000033: %SYS-5-CONFIG_I: x`},
		{"no PRI", `link up`,
			`<13>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip="192.0.2.1" port="514"] link up`},
		{"an empty datagram", "",
			`<13>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip="192.0.2.1" port="514"]`},
		{"a timestamp that is invalid", `<14>1 2023-02-29T22:14:15Z h a - - - x`,
			`<14>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip="192.0.2.1" port="514"] 1 2023-02-29T22:14:15Z h a - - - x`},
		{"a malformed field", `<14>1 2023-10-11T22:14:15Z h a 1 - [x y`,
			`<14>1 2023-10-11T22:14:15Z h a 1 - [udpshard@32473 ip="192.0.2.1" port="514"] [x y`},
		{"nanoseconds with an offset", `<14>1 2023-10-11T22:14:15.123456789+02:00 - - - - - x`,
			`<14>1 2023-10-11T22:14:15.123456+02:00 - - - - [udpshard@32473 ip="192.0.2.1" port="514"] x`},
		{"six digits", `<14>1 2023-10-11T22:14:15.123456Z - - - - - x`,
			`<14>1 2023-10-11T22:14:15.123456Z - - - - [udpshard@32473 ip="192.0.2.1" port="514"] x`},
		{"a byte order mark is kept", "<14>1 - - - - - - \xEF\xBB\xBFæ",
			"<14>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip=\"192.0.2.1\" port=\"514\"] \xEF\xBB\xBFæ"},
		{"control characters, and bytes that are not UTF-8", "<14>1 - - - - - [a b=\"1\n2\xff\"] x\x00\ty#\x7f\xc3z",
			"<14>1 2023-10-11T20:14:15.003182Z - - - - [a b=\"1#0122\uFFFD\"][udpshard@32473 ip=\"192.0.2.1\" port=\"514\"] x#000#011y##177\uFFFDz"},
		{"escapes in values", `<14>1 - - - - - [a b="\"\\\]\x\\" c=""][d] -`,
			`<14>1 2023-10-11T20:14:15.003182Z - - - - [a b="\"\\\]\\x\\" c=""][d][udpshard@32473 ip="192.0.2.1" port="514"] -`},
		{"relayed before", `<14>1 - - - - - [udpshard@32473 ip="2001:db8::7" port="1"][d] -`,
			`<14>1 2023-10-11T20:14:15.003182Z - - - - [udpshard@32473 ip="2001:db8::7" port="1" ip="192.0.2.1" port="514"][d] -`},
	}
	d := Decoder{Location: time.UTC}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m Message
			d.Decode(&m, []byte(tt.in), lineReceived)
			if got := string(m.AppendRFC5424(nil, lineReceived, lineSource, false)); got != tt.want {
				t.Errorf("%q\n got %s\nwant %s", tt.in, got, tt.want)
			}
		})
	}
}

func TestAppendRFC5424Source(t *testing.T) {
	for _, tt := range []struct {
		source    netip.AddrPort
		truncated bool
		want      string
	}{
		{netip.AddrPort{}, false, "-"},
		{netip.AddrPort{}, true, `[udpshard@32473 truncated="true"]`},
		{netip.MustParseAddrPort("[2001:db8::1]:1"), true, `[udpshard@32473 ip="2001:db8::1" port="1" truncated="true"]`},
		{netip.MustParseAddrPort("[fe80::1%eth0]:65535"), false, `[udpshard@32473 ip="fe80::1%eth0" port="65535"]`},
		{netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone("a\"]\\\n\xff"), 1), false,
			`[udpshard@32473 ip="fe80::1%a\"\]\\#012` + "\uFFFD" + `" port="1"]`},
	} {
		got := string((&Message{}).AppendRFC5424(nil, lineReceived, tt.source, tt.truncated))
		if want := "<13>1 2023-10-11T20:14:15.003182Z - - - - " + tt.want; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A library user may write messages of other origin.
func TestAppendRFC5424CutsFields(t *testing.T) {
	long := []byte(strings.Repeat("x", 300))
	m := Message{Hostname: long, AppName: long, ProcID: long, MsgID: []byte("a b\x7fæ\n")}
	want := fmt.Sprintf("<13>1 2023-10-11T20:14:15.003182Z %s %s %s a?b???? -", long[:255], long[:48], long[:128])
	if got := string(m.AppendRFC5424(nil, lineReceived, netip.AddrPort{}, false)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// lineOracle is the strict parser of github.com/leodido/go-syslog, which also checks that MSG with a
// BOM is UTF-8.
func lineOracle() gosyslog.Machine { return rfc5424.NewParser(rfc5424.WithCompliantMsg()) }

// checkLine compares the line of a datagram with the decoded datagram: by the strict oracle, and by
// decoding the line.
func checkLine(t *testing.T, oracle gosyslog.Machine, text []byte, received time.Time, source netip.AddrPort) {
	t.Helper()
	d := Decoder{Location: time.UTC}
	var m Message
	d.Decode(&m, text, received)
	line := m.AppendRFC5424([]byte("before"), received, source, true)
	line = bytes.TrimPrefix(line, []byte("before"))
	if i := bytes.IndexFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
		t.Fatalf("%q: control character %q in %q", text, line[i], line)
	}
	parsed, err := oracle.Parse(line)
	if err != nil || !parsed.Valid() {
		t.Fatalf("%q: the oracle refuses %q: %v", text, line, err)
	}
	theirs := parsed.(*rfc5424.SyslogMessage)
	wantPriority := uint8(13)
	if m.HasPriority {
		wantPriority = m.Priority
	}
	if *theirs.Priority != wantPriority {
		t.Errorf("%q: PRI %d in %q", text, *theirs.Priority, line)
	}
	wantTime := received.Truncate(time.Microsecond)
	if len(m.Timestamp) > 0 {
		sent, err := time.Parse(time.RFC3339Nano, string(m.Timestamp))
		if err != nil {
			t.Fatal(err)
		}
		wantTime = sent.Truncate(time.Microsecond)
	}
	if theirs.Timestamp == nil || !theirs.Timestamp.Equal(wantTime) {
		t.Errorf("%q: TIMESTAMP %v in %q, want %v", text, theirs.Timestamp, line, wantTime)
	}
	message := asLine(string(m.Prefix[0]) + string(m.Prefix[1]) + string(m.Text))
	if m.hasBOM {
		message = byteOrderMark + message
	}
	for _, field := range []struct {
		name, want string
		got        *string
	}{
		{"HOSTNAME", asHostname(m.Hostname), theirs.Hostname}, {"APP-NAME", string(m.AppName), theirs.Appname},
		{"PROCID", string(m.ProcID), theirs.ProcID}, {"MSGID", string(m.MsgID), theirs.MsgID}, {"MSG", message, theirs.Message},
	} {
		if field.want == "-" && field.name != "MSG" { // NILVALUE, also in <13>app[-]: x
			field.want = ""
		}
		if got := field.got; got == nil && field.want != "" || got != nil && *got != field.want {
			t.Errorf("%q: %s in %q is not %q", text, field.name, line, field.want)
		}
	}
	want := map[string]map[string]string{sourceID: {}} // of a repeated name, the oracle keeps the last value
	for _, e := range m.StructuredData {
		params := map[string]string{}
		for _, p := range e.Params {
			params[string(p.Name)] = asLine(unescapedValue(&p))
		}
		want[string(e.ID)] = params
	}
	want[sourceID]["truncated"] = "true"
	if source.IsValid() {
		want[sourceID]["ip"] = asLine(source.Addr().String())
		want[sourceID]["port"] = strconv.Itoa(int(source.Port()))
	}
	if got := theirs.StructuredData; got == nil || fmt.Sprintf("%q", *got) != fmt.Sprintf("%q", want) {
		t.Errorf("%q: structured data in %q is not %q", text, line, want)
	}
	checkLineAgain(t, &m, line, received)
}

// checkLineAgain decodes the line, and writes the message again: a relay of a relay changes nothing.
func checkLineAgain(t *testing.T, m *Message, line []byte, received time.Time) {
	t.Helper()
	d := Decoder{Location: time.UTC}
	var again Message
	d.Decode(&again, line, received)
	if again.Format != RFC5424 || again.Malformed != "" {
		t.Fatalf("%q is %s, malformed %q", line, again.Format, again.Malformed)
	}
	if got := again.AppendRFC5424(nil, received, netip.AddrPort{}, false); !bytes.Equal(got, line) {
		t.Fatalf("%q\nis written again as\n%q", line, got)
	}
	elements := len(again.StructuredData)
	for _, e := range m.StructuredData {
		if string(e.ID) == sourceID {
			elements++
		}
	}
	if elements != len(m.StructuredData)+1 {
		t.Fatalf("%q has %d elements", line, len(again.StructuredData))
	}
}

// asHostname returns the hostname with ? for bytes outside PRINTUSASCII, which the zone of an IPv6
// address may have.
func asHostname(hostname []byte) string {
	written := bytes.Clone(hostname)
	for i, c := range written {
		if c <= ' ' || c > '~' {
			written[i] = '?'
		}
	}
	return string(written)
}

// asLine returns text with #ooo for control characters, and U+FFFD for bytes that are not UTF-8.
func asLine(text string) string {
	var b strings.Builder
	for _, r := range perByte([]byte(text)) {
		if r < ' ' || r == 0x7f {
			fmt.Fprintf(&b, "#%03o", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sourceOf returns a source with the bytes of an address, IPv4 or IPv6.
func sourceOf(address []byte, zone string) netip.AddrPort {
	ip, _ := netip.AddrFromSlice(address)
	if ip.Is6() && !ip.Is4In6() {
		ip = ip.WithZone(zone)
	}
	return netip.AddrPortFrom(ip, 514)
}

func TestLineOracle(t *testing.T) {
	oracle := lineOracle()
	check := func(text []byte) {
		t.Helper()
		checkLine(t, oracle, text, lineReceived, lineSource)
	}
	for _, s := range samples() {
		check([]byte(s.in))
		for cut := range len(s.in) { // as cut by a short MaxDatagram
			check([]byte(s.in[:cut]))
		}
	}
	for _, line := range benchMix() {
		check(line)
	}
	for _, text := range hostileDatagrams() {
		check(text)
	}
}

func FuzzLineOracle(f *testing.F) {
	for _, s := range samples() {
		f.Add([]byte(s.in), lineReceived.UnixMicro(), []byte{192, 0, 2, 1}, "")
	}
	f.Add([]byte("<13>Oct 11 22:14:15 fe80::1%eth\xaf x"), int64(0), []byte{}, "")
	f.Add([]byte("<1>1 - - - - - [udpshard@32473 ip=\"\" ip=\"\\x\"] \xEF\xBB\xBF\xff\n\x00x"), int64(-1), make([]byte, 16), `a"]`)
	oracle := lineOracle()
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC).UnixMicro()
	f.Fuzz(func(t *testing.T, text []byte, received int64, address []byte, zone string) {
		at := time.UnixMicro(min(max(received, first), last))
		checkLine(t, oracle, text, at, sourceOf(address, zone))
	})
}
