package systemd

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for text, want := range map[string]Name{
		"udpshard-kept-socket-57bc6":            {SocketKind, 0x57bc6},
		"udpshard-kept-socket-ffffffffffffffff": {SocketKind, 1<<64 - 1},
		"udpshard-kept-counters-7":              {CountersKind, 7},
		"udpshard-kept-set-0":                   {ManifestKind, 0},
	} {
		if got, ok := ParseName(text); !ok || got != want || got.String() != text {
			t.Errorf("%s: %v, %t, and back %s", text, got, ok, got)
		}
	}
	for _, text := range []string{"", "udpshard.socket", "udpshard-kept-", "udpshard-kept-set", "udpshard-kept-set-", "udpshard-kept-set-07",
		"udpshard-kept-set-+7", "udpshard-kept-set-7-7", "udpshard-kept-set-f", "udpshard-kept-socket-F", "udpshard-kept-socket-0x1", "udpshard-kept--1",
		"udpshard-kept-web-1", "udpshard-kept-socket-10000000000000000", "Udpshard-kept-set-7", "udpshard-kept-udp.socket"} {
		if got, ok := ParseName(text); ok {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// A valid name is the result of String, and the manager accepts the name.
func FuzzParseName(f *testing.F) {
	for _, text := range []string{"", "udpshard.socket", "udpshard-kept-socket-57bc6", "udpshard-kept-counters-18446744073709551615", "udpshard-kept-set-007", "LISTEN_FD_3"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, ok := ParseName(text)
		if !ok {
			if name != (Name{}) {
				t.Errorf("%q: %v", text, name)
			}
			return
		}
		if name.String() != text || !strings.HasPrefix(text, prefix) {
			t.Errorf("%q: %v", text, name)
		}
		if err := checkName(text); err != nil {
			t.Error(err)
		}
	})
}
