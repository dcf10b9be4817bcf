package dnsrecord

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// reply packs a compressed message with an answer section of records.
func reply(t testing.TB, records ...string) []byte {
	t.Helper()
	m := new(dns.Msg).SetQuestion("www.example.", dns.TypeANY)
	m.Response, m.Compress = true, true
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// members parses what answers.append has appended.
func members(t *testing.T, text []byte) (parsed struct {
	Data      []string `json:"answer_data"`
	Truncated bool     `json:"answer_data_truncated"`
}) {
	t.Helper()
	object := append(append([]byte("{"), text...), `"end":0}`...)
	if err := json.Unmarshal(object, &parsed); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return parsed
}

// Records of the answer section are written with complete names, whatever was compressed.
func TestAnswers(t *testing.T) {
	want := []string{
		"www.example. 300 IN CNAME web.sub.example.",
		"example. 3600 IN SOA ns.example. admin.example. 1 3600 600 604800 300",
		"web.sub.example. 0 IN A 192.0.2.80",
		"web.sub.example. 4294967295 IN AAAA 2001:db8::1",
		"example. 300 IN MX 10 mail.example.",
		"example. 300 IN MINFO a.example. b.example.",
		`example. 300 IN TXT "a \"quoted\" string" "b"`,
		"_sip._udp.example. 300 IN SRV 1 2 5060 sip.example.",
		`a\.b\009.example. 300 IN PTR www.example.`,
		"example. 300 CH TYPE65280 \\# 2 0102",
	}
	var a answers
	message := reply(t, want...)
	got := members(t, a.append(nil, message))
	if !slices.Equal(got.Data, want) || got.Truncated {
		t.Errorf("%q, want %q", got.Data, want)
	}
	buf := make([]byte, 0, maxAnswers)
	if n := testing.AllocsPerRun(100, func() { a.append(buf, message) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// An answer without records has no member, and an answer that is too long ends in a mark.
func TestLongAnswers(t *testing.T) {
	var a answers
	if text := a.append(nil, reply(t)); len(text) > 0 {
		t.Errorf("no record: %s", text)
	}
	var records []string
	for i := range 200 {
		records = append(records, fmt.Sprintf("www.example. 300 IN A 192.0.2.%d", i))
	}
	text := a.append([]byte("before"), reply(t, records...))
	size := len(text) - len("before")
	got := members(t, text[len("before"):])
	if !got.Truncated || size > maxAnswers || size < maxAnswers-100 || !slices.Equal(got.Data, records[:len(got.Data)]) {
		t.Errorf("%d bytes, %d records, truncated is %t", size, len(got.Data), got.Truncated)
	}
	long := `www.example. 300 IN TXT` + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 20)
	if got := members(t, a.append(nil, reply(t, long))); len(got.Data) > 0 || !got.Truncated {
		t.Errorf("a record that has no room: %+v", got)
	}
}

// No message makes answers panic or read for ever.
func FuzzAnswers(f *testing.F) {
	whole := reply(f, "www.example. 300 IN MX 10 mail.example.", "example. 300 IN TXT x")
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(header + question + "\xc0\x1d\x00\x05\x00\x01"))
	var a answers
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < HeaderSize {
			return
		}
		if text := a.append(nil, message); len(text) > maxAnswers {
			t.Errorf("%d bytes", len(text))
		}
	})
}
