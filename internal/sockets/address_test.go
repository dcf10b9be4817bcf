package sockets

import (
	"net"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"5514": "[::]:5514", ":5514": "[::]:5514", "syslog": "[::]:514", "[::]:5514": "[::]:5514", "0.0.0.0:5514": "0.0.0.0:5514",
		"127.0.0.1:5514": "127.0.0.1:5514", "[::1]:5514": "[::1]:5514", "[fe80::1%lo]:5514": "[fe80::1%lo]:5514",
		"[::ffff:127.0.0.1]:5514": "127.0.0.1:5514", "localhost:5514": "127.0.0.1:5514",
	} {
		if _, err := net.LookupPort("udp", "syslog"); err != nil && text == "syslog" {
			continue // there is no /etc/services
		}
		got, err := ParseAddress(text)
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ":", "127.0.0.1", "127.0.0.1:", "::1", "70000", "-1", "0", ":0", "[::1]:0", "no-such-service", "224.0.0.1:5514", "[ff02::1]:5514",
		"255.255.255.255:5514",
	} {
		if got, err := ParseAddress(text); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
