package hostport

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]struct {
		host, ip string // no ip: a host name
		port     uint16
	}{
		":5514":                  {"", "::", 5514},
		":0":                     {"", "::", 0},
		"127.0.0.1:5514":         {"127.0.0.1", "127.0.0.1", 5514},
		"0.0.0.0:65535":          {"0.0.0.0", "0.0.0.0", 65535},
		"[::]:5514":              {"::", "::", 5514},
		"[::1]:5514":             {"::1", "::1", 5514},
		"[fe80::1%lo]:7":         {"fe80::1%lo", "fe80::1%lo", 7},
		"[::ffff:127.0.0.1]:53":  {"::ffff:127.0.0.1", "127.0.0.1", 53},
		"localhost:5514":         {"localhost", "", 5514},
		"syslog.example.com:514": {"syslog.example.com", "", 514},
		"256.0.0.1:1":            {"256.0.0.1", "", 1},
	} {
		a, err := Parse("udp", text)
		var ip netip.Addr
		if want.ip != "" {
			ip = netip.MustParseAddr(want.ip)
		}
		if wanted := (Address{want.host, ip, want.port}); err != nil || a != wanted || a.String() != text || a.IsName() != (want.ip == "") {
			t.Errorf("%q: %+v (%s), %v, want %+v", text, a, a, err, wanted)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const form, port = `" is not host:port, [ipv6]:port or :port`, `" is neither a number up to 65535 nor a udp service in /etc/services`
	for text, want := range map[string]string{
		"":                `"` + form,
		":":               `":` + form,
		"5514":            `"5514` + form,
		"127.0.0.1":       `"127.0.0.1` + form,
		"127.0.0.1:":      `"127.0.0.1:` + form,
		"::1":             `"::1` + form,
		"::1:5514":        `"::1:5514` + form,
		"[::1:5":          `"[::1:5` + form,
		"[]:5":            `"[]:5` + form,
		":65536":          `":65536": port "65536` + port,
		":-1":             `":-1": port "-1` + port,
		"localhost:no":    `"localhost:no": port "no` + port,
		"udp://host:5514": `"udp://host:5514` + form,
	} {
		if a, err := Parse("udp", text); err == nil || err.Error() != want {
			t.Errorf("%q: %+v, %v, want %s", text, a, err, want)
		}
	}
	for _, text := range []string{":5514", "5514", "localhost", "::1"} {
		want := fmt.Sprintf("%q is not host:port or [ipv6]:port", text)
		if a, err := ParseRemote("udp", text); err == nil || err.Error() != want {
			t.Errorf("%q as a remote address: %+v, %v, want %s", text, a, err, want)
		}
	}
	for text, want := range map[string]string{
		"":          `"" is not host:port, [ipv6]:port, :port or a port`,
		"127.0.0.1": `"127.0.0.1" is not host:port, [ipv6]:port, :port or a port`,
		"no":        `"no": port "no` + port,
		":no":       `":no": port "no` + port,
	} {
		if a, err := ParseOrPort("udp", text); err == nil || err.Error() != want {
			t.Errorf("%q: %+v, %v, want %s", text, a, err, want)
		}
	}
	if a, err := ParseOrPort("udp", "5514"); err != nil || a.String() != ":5514" {
		t.Error(a, err)
	}
	if a, err := ParseRemote("udp", "[::1]:5514"); err != nil || a.Host != "::1" {
		t.Error(a, err)
	}
}

func TestParseService(t *testing.T) {
	port, err := net.LookupPort("udp", "syslog")
	if err != nil {
		t.Skipf("needs /etc/services (package netbase): %v", err)
	}
	if a, err := Parse("udp", "[::1]:syslog"); err != nil || int(a.Port) != port {
		t.Error(a, err)
	}
}

func TestResolve(t *testing.T) {
	for text, want := range map[string]string{
		":5514": "[::]:5514", "[::ffff:127.0.0.1]:53": "127.0.0.1:53", "localhost:5514": "127.0.0.1:5514", "[::1]:1": "[::1]:1",
	} {
		a, err := Parse("udp", text)
		if err != nil {
			t.Fatal(err)
		}
		if at := a.AddrPort(); at != (netip.AddrPort{}) == a.IsName() {
			t.Errorf("%s: AddrPort is %s", text, at)
		}
		if at, err := a.Resolve(); err != nil || at.String() != want {
			t.Errorf("%s: %s, %v, want %s", text, at, err, want)
		}
	}
	if at, err := (Address{Host: "a b", Port: 1}).Resolve(); err == nil {
		t.Errorf("a host name with a space is %s", at)
	}
}

// Parse agrees with net.SplitHostPort, and reads what String writes.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"", ":", ":5514", "127.0.0.1:5514", "[::1]:5514", "[fe80::1%lo]:7", "localhost:syslog", "[]:5", "::1", "a:b:c", "host:65536"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse("udp", text)
		host, _, splitErr := net.SplitHostPort(text)
		if err != nil {
			if !strings.Contains(err.Error(), "is not host:port") && !strings.Contains(err.Error(), ": port ") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if splitErr != nil || a.Host != host || (host == "") != strings.HasPrefix(text, ":") {
			t.Errorf("%q: %+v, and net.SplitHostPort: %q, %v", text, a, host, splitErr)
		}
		if again, err := Parse("udp", a.String()); err != nil || again != a {
			t.Errorf("%q: %+v, then %+v, %v", text, a, again, err)
		}
	})
}
