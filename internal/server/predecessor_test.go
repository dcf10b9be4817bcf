package server

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// Listeners are known by their address, and those that share one by their names.
func TestWhichListenerGoesOn(t *testing.T) {
	had := func(names ...string) *succession.Predecessor {
		l := new(succession.Predecessor)
		for i, name := range names {
			l.Offer.Listeners = append(l.Offer.Listeners, handoff.Listener{Name: name, Address: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:5514"}[i]})
		}
		return l
	}
	a, b, other := &config.Listener{Name: "a", Address: "127.0.0.1:0"}, &config.Listener{Name: "b", Address: "127.0.0.1:0"}, &config.Listener{Name: "c", Address: "[::ffff:127.0.0.1]:5514"}
	for _, c := range []struct {
		had  *succession.Predecessor
		want [3]string // for a, b and the other one
	}{
		{nil, [3]string{}},
		{had(), [3]string{}},
		{had("a", "b", "c"), [3]string{"a", "b", "c"}},
		{had("b", "a", "x"), [3]string{"a", "b", "x"}},
		{had("b"), [3]string{"", "b", ""}},
		{had("x", "a"), [3]string{"a", "x", ""}},
	} {
		for i, l := range []*config.Listener{a, b, other} {
			name := ""
			if before := matchListeners(c.had, []*config.Listener{a, b, other})[l]; before != nil {
				name = before.Name
			}
			if name != c.want[i] {
				t.Errorf("%s goes on from %q, want %q", l.Name, name, c.want[i])
			}
		}
	}
}

// An HTTP socket that was handed over is used if it is at the address that is asked for, however
// that is written.
func TestTheHTTPAddressOfTheOneBefore(t *testing.T) {
	for _, c := range []struct {
		had, want string
		same      bool
	}{
		{"127.0.0.1:9514", "127.0.0.1:9514", true},
		{"127.0.0.1:9514", "[::ffff:127.0.0.1]:9514", true},
		{"127.0.0.1:9514", "127.0.0.1:9515", false},
		{"127.0.0.1:9514", "127.0.0.2:9514", false},
		{"127.0.0.1:9514", "127.0.0.1:0", false},
		{"127.0.0.1:9514", "name.test:9514", false}, // one that was not found
		{"[::]:9514", ":9514", true},
		{"[::]:9514", "0.0.0.0:9514", true}, // net.Listen makes [::] of it
		{"[::]:9514", "127.0.0.1:9514", false},
	} {
		had := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.had))
		if same := hasAddress(had, c.want); same != c.same {
			t.Errorf("%s for %s: %t", c.had, c.want, same)
		}
	}
}

// A host name of another process is not looked up: its sockets have the address.
func TestHostNamesOfAPredecessor(t *testing.T) {
	file := writeFile(t, "listeners: [{address: 'localhost:5001'}, {address: 'localhost:5002'}]\n")
	c, err := (&config.Flags{File: file}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Listeners[0].Resolved().String() != "127.0.0.1:5001" {
		t.Skip("needs 127.0.0.1 as localhost in /etc/hosts")
	}
	had := &succession.Predecessor{Offer: takeover.Offer{State: handoff.State{Listeners: []handoff.Listener{{Address: "localhost:5002"}, {Address: "127.0.0.1:5001"}, {Address: "other.test:5003"}}}}}
	if found := matchListeners(had, c.Listeners); len(found) != 2 || found[c.Listeners[0]].Address != "127.0.0.1:5001" || found[c.Listeners[1]].Address != "localhost:5002" {
		t.Errorf("%v", found)
	}
}

// writeFile returns the path of a new file with the text.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
