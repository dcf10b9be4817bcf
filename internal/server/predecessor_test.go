package server

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
)

// Listeners are matched by address, and listeners with the same address by name.
func TestMatchListeners(t *testing.T) {
	addresses := []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:5514"}
	offer := func(names ...string) (offers []handoff.Listener) {
		for i, name := range names {
			offers = append(offers, handoff.Listener{Name: name, Address: addresses[i]})
		}
		return offers
	}
	listeners := []*config.Listener{
		{Name: "a", Address: "127.0.0.1:0"},
		{Name: "b", Address: "127.0.0.1:0"},
		{Name: "c", Address: "[::ffff:127.0.0.1]:5514"},
	}
	for _, c := range []struct {
		offers []handoff.Listener
		want   [3]string // the names of the offered listeners, in the order of listeners
	}{
		{nil, [3]string{}},
		{offer(), [3]string{}},
		{offer("a", "b", "c"), [3]string{"a", "b", "c"}},
		{offer("b", "a", "x"), [3]string{"a", "b", "x"}},
		{offer("b"), [3]string{"", "b", ""}},
		{offer("x", "a"), [3]string{"a", "x", ""}},
	} {
		for i, l := range listeners {
			name := ""
			if offered := matchListeners(c.offers, listeners)[l]; offered != nil {
				name = offered.Name
			}
			if name != c.want[i] {
				t.Errorf("%s continues %q, want %q", l.Name, name, c.want[i])
			}
		}
	}
}

// An inherited HTTP socket is used if it has the configured address, in any spelling.
func TestAddressOfAnInheritedHTTPSocket(t *testing.T) {
	for _, c := range []struct {
		socket, want string
		same         bool
	}{
		{"127.0.0.1:9514", "127.0.0.1:9514", true},
		{"127.0.0.1:9514", "[::ffff:127.0.0.1]:9514", true},
		{"127.0.0.1:9514", "127.0.0.1:9515", false},
		{"127.0.0.1:9514", "127.0.0.2:9514", false},
		{"127.0.0.1:9514", "127.0.0.1:0", false},
		{"127.0.0.1:9514", "name.test:9514", false}, // a name that was not found
		{"[::]:9514", ":9514", true},
		{"[::]:9514", "0.0.0.0:9514", true}, // net.Listen opens [::] for 0.0.0.0
		{"[::]:9514", "127.0.0.1:9514", false},
	} {
		at := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.socket))
		if same := hasAddress(at, c.want); same != c.same {
			t.Errorf("%s for %s: %t", c.socket, c.want, same)
		}
	}
}

// Host names of a predecessor are not looked up: the sockets have the address.
func TestHostNamesOfAPredecessor(t *testing.T) {
	file := writeFile(t, "listeners: [{address: 'localhost:5001'}, {address: 'localhost:5002'}]\n")
	c, err := (&config.Flags{File: file}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Listeners[0].Resolved().String() != "127.0.0.1:5001" {
		t.Skip("needs 127.0.0.1 as localhost in /etc/hosts")
	}
	var offers []handoff.Listener
	for _, address := range []string{"localhost:5002", "127.0.0.1:5001", "other.test:5003"} {
		offers = append(offers, handoff.Listener{Address: address})
	}
	found := matchListeners(offers, c.Listeners)
	if len(found) != 2 || found[c.Listeners[0]].Address != "127.0.0.1:5001" ||
		found[c.Listeners[1]].Address != "localhost:5002" {
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
