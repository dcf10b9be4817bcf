package record

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var received = time.Date(2023, 10, 11, 22, 14, 15, 3_000_999, time.UTC)

func TestAppendTime(t *testing.T) {
	tests := []struct {
		name string
		in   time.Time
		want string
	}{
		{"fraction cut at six digits", received, `"2023-10-11T22:14:15.003000Z"`},
		{"no fraction", time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), `"2024-02-29T00:00:00.000000Z"`},
		{"another zone", time.Date(2024, 1, 1, 1, 0, 0, 0, time.FixedZone("", 7200)), `"2023-12-31T23:00:00.000000Z"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(AppendTime(nil, tt.in)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	v4 := netip.MustParseAddrPort("192.0.2.1:514")
	tests := []struct {
		name      string
		head      string
		source    netip.AddrPort
		format    string
		malformed string
		truncated bool
		want      string
	}{
		{"first member", `{`, v4, "unparsed", "", false,
			`{"received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.1:514","listener":"syslog","shard":3,"format":"unparsed"}`},
		{"after a member", `{"message":"{"`, v4, "rfc3164", "", false,
			`{"message":"{","received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.1:514","listener":"syslog","shard":3,"format":"rfc3164"}`},
		{"raw, truncated, IPv6", `{"message":"x"`, netip.MustParseAddrPort("[2001:db8::1]:514"), "", "", true,
			`{"message":"x","received_at":"2023-10-11T22:14:15.003000Z","source":"[2001:db8::1]:514","listener":"syslog","shard":3,"truncated":true}`},
		{"zone", `{`, netip.MustParseAddrPort("[fe80::1%eth0]:514"), "", "", false,
			`{"received_at":"2023-10-11T22:14:15.003000Z","source":"[fe80::1%eth0]:514","listener":"syslog","shard":3}`},
		{"zone that needs an escape", `{`, netip.AddrPortFrom(netip.MustParseAddr("fe80::1").WithZone(`a"b`), 1), "", "", false,
			`{"received_at":"2023-10-11T22:14:15.003000Z","source":"[fe80::1%a\"b]:1","listener":"syslog","shard":3}`},
		{"malformed and truncated", `{`, v4, "rfc5424", "msgid", true,
			`{"received_at":"2023-10-11T22:14:15.003000Z","source":"192.0.2.1:514","listener":"syslog","shard":3,"format":"rfc5424","malformed":"msgid","truncated":true}`},
		{"no source", `{`, netip.AddrPort{}, "", "", false,
			`{"received_at":"2023-10-11T22:14:15.003000Z","listener":"syslog","shard":3}`},
	}
	tail := NewTail("syslog", 3)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(tail.Append([]byte(tt.head), received, tt.source, tt.format, tt.malformed, tt.truncated))
			if got != tt.want+"\n" {
				t.Errorf("got  %swant %s", got, tt.want)
			}
			if !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		})
	}
}

func TestTailFollowsTheClock(t *testing.T) {
	tail := NewTail(`l"1`, 0)
	for _, at := range []time.Time{{}, received, received, received.Add(time.Microsecond), received} {
		got := string(tail.Append([]byte("{"), at, netip.AddrPort{}, "", "", false))
		want := `{"received_at":` + string(AppendTime(nil, at)) + `,"listener":"l\"1","shard":0}` + "\n"
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	tail := NewTail("syslog", 1)
	sources := []netip.AddrPort{
		netip.MustParseAddrPort("192.0.2.1:514"),
		netip.MustParseAddrPort("[2001:db8::1]:514"),
		netip.MustParseAddrPort("[fe80::1%eth0]:514"),
	}
	text := []byte("say \"hi\"\n\xff\u2028" + strings.Repeat("æ text ", 20))
	buf := make([]byte, 0, 4096)
	at := received
	if n := testing.AllocsPerRun(100, func() {
		at = at.Add(time.Millisecond)
		for _, source := range sources {
			buf = append(buf[:0], `{"message":`...)
			buf = AppendString(buf, text)
			buf = tail.Append(buf, at, source, "rfc3164", "msgid", true)
		}
	}); n != 0 {
		t.Errorf("%v allocations a run", n)
	}
}

func BenchmarkTail(b *testing.B) {
	tail := NewTail("syslog", 1)
	source := netip.MustParseAddrPort("192.0.2.1:51423")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = tail.Append(append(buf[:0], '{'), received, source, "rfc3164", "", false)
	}
}
