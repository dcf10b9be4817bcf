package syslog

import (
	"net/netip"
	"testing"
)

func checkIPv6(t *testing.T, s string) {
	t.Helper()
	addr, err := netip.ParseAddr(s)
	if want := err == nil && addr.Is6(); isIPv6([]byte(s)) != want {
		t.Errorf("%q: got %v, want %v", s, !want, want)
	}
}

var addresses = []string{
	"", ":", "::", ":::", "1", "1:", ":1", "::1", "1::", "1:::2", "1::2::3", "2001:db8::1", "1:2:3:4:5:6:7:8",
	"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::3:4:5:6:7:8", "1:2:3:4:5:6:7:8::", "1::2:3:4:5:6:7:8",
	"12345::", "g::", "FE80::A", "fe80::1%eth0", "fe80::1%", "%eth0", "192.0.2.1", "::ffff:192.0.2.1", "::192.0.2.256",
	"::192.0.2", "::192.0.2.1.1", "::192.0.2.01", "::192.0.2.0", "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1",
	"1:2:3:4:5:6::192.0.2.1", "1:2:3:4:5::192.0.2.1", "::192.0.2.1:1", "::ff.0.2.1", "::192.0.2.1%1", "192.0.2.1%1", "::1.",
}

func TestIsIPv6(t *testing.T) {
	for _, s := range addresses {
		checkIPv6(t, s)
	}
}

func FuzzIsIPv6(f *testing.F) {
	for _, s := range addresses {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkIPv6(t, s) })
}
