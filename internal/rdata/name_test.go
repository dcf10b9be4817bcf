package rdata

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a.", 120) // 241 octets with the root
	for _, tt := range []struct{ text, wire, canonical string }{
		{"@", testOrigin, "example."},
		{".", "\x00", "."},
		{"a", "\x01a" + testOrigin, "a.example."},
		{"A.b.", "\x01A\x01b\x00", "A.b."},
		{`\@.`, "\x01@\x00", `\@.`},
		{`\065\.\\\"\(\)\;\$\000\255.`, "\x0aA.\\\"();$\x00\xff\x00", `A\.\\\"\(\)\;\$\000\255.`},
		{"_25._tcp.*.", "\x03_25\x04_tcp\x01*\x00", "_25._tcp.*."},
		{strings.Repeat("a", 63) + ".", "\x3f" + strings.Repeat("a", 63) + "\x00", strings.Repeat("a", 63) + "."},
		{long + "aaaaa", strings.Repeat("\x01a", 120) + "\x05aaaaa" + testOrigin, long + "aaaaa.example."}, // 255 octets
		{`xn--ä`, "\x06xn--\xc3\xa4" + testOrigin, `xn--\195\164.example.`},
	} {
		wire, err := ParseName(tt.text, testOrigin)
		if err != nil || wire != tt.wire {
			t.Errorf("%s: got %q, %v, want %q", tt.text, wire, err, tt.wire)
		}
		if got := string(AppendName([]byte("x "), tt.wire)); got != "x "+tt.canonical {
			t.Errorf("%s: got %s, want %s", tt.text, got, tt.canonical)
		}
	}
	for _, text := range []string{"", "..", ".a", "a..", `a\`, `\256`, `\25`, `\2x5`, `"a"`, `a"b`, strings.Repeat("a", 64), strings.Repeat("a", 64) + ".b", long + "aaaaaa"} {
		if wire, err := ParseName(text, testOrigin); err == nil {
			t.Errorf("%s: got %q", text, wire)
		}
	}
	for _, text := range []string{"@", "a"} {
		if wire, err := ParseName(text, ""); err == nil {
			t.Errorf("%s without an origin: got %q", text, wire)
		}
	}
}

func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		text string
		want uint16
		name string
	}{
		{"A", 1, "A"}, {"aaaa", 28, "AAAA"}, {"Nsap-Ptr", 23, "NSAP-PTR"}, {"TYPE1", 1, "A"}, {"type65280", 65280, "TYPE65280"}, {"DLV", 32769, "DLV"}, {"ANY", 255, "ANY"},
	} {
		if got, ok := Type(tt.text); !ok || got != tt.want || TypeName(got) != tt.name {
			t.Errorf("%s: got %d, %s, %v", tt.text, got, TypeName(got), ok)
		}
	}
	for _, text := range []string{"", "IN", "TYPE", "TYPE65536", "TYPE-1", "TYPEA", strings.Repeat("A", 17)} {
		if got, ok := Type(text); ok {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

func TestParseTTL(t *testing.T) {
	for text, want := range map[string]uint32{
		"0": 0, "3600": 3600, "4294967295": 1<<32 - 1, "1h30m": 5400, "1W2D": 777600, "90s": 90, "0h": 0,
	} {
		if got, err := ParseTTL(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "h", "1h5", "0h5", "-1", "1.5h", "1y", "4294967296", "7102w", "1h 5m", "18446744073709551616"} {
		if got, err := ParseTTL(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
}
