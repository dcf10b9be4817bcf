package server

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// Listeners are known by their address, and those that share one by their names.
func TestWhichListenerGoesOn(t *testing.T) {
	had := func(names ...string) *predecessor {
		l := new(predecessor)
		for i, name := range names {
			l.offer.Listeners = append(l.offer.Listeners, handoff.Listener{Name: name, Address: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:5514"}[i]})
		}
		return l
	}
	a, b, other := &config.Listener{Name: "a", Address: "127.0.0.1:0"}, &config.Listener{Name: "b", Address: "127.0.0.1:0"}, &config.Listener{Name: "c", Address: "[::ffff:127.0.0.1]:5514"}
	for _, c := range []struct {
		had  *predecessor
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
			if before := c.had.matchListeners([]*config.Listener{a, b, other})[l]; before != nil {
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

// opened opens a book as another process does that is registered with it.
func opened(t *testing.T, b *metrics.SharedCounters) *metrics.SharedCounters {
	t.Helper()
	memory, err := duplicateMemory(memoryOf(b))
	if err != nil {
		t.Fatal(err)
	}
	control, err := takeover.Register(memory.Control, 0)
	memory.Control.Close()
	if err != nil {
		t.Fatal(err)
	}
	other, err := metrics.OpenSharedCounters(memory.Counters, control)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// A standby that meets the process which has replaced the one before stays registered with the
// one before. A standby that had the counters of the new process already is registered once:
// else it would count itself among those that it has to meet.
func TestWhatAStandbyIsRegisteredWith(t *testing.T) {
	newBook := func() *metrics.SharedCounters {
		book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		return book
	}
	registered := func(b *metrics.SharedCounters, epoch uint64) int {
		n, err := takeover.CountRegistrations(b.Control(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, now := newBook(), newBook()
	last := &predecessor{counters: opened(t, before), disconnected: true}
	met := &predecessor{counters: opened(t, now)}
	met.replace(last)
	if a, b, c := registered(before, metrics.FirstEpoch), registered(before, metrics.FirstEpoch+1), registered(now, 9); a != 0 || b != 1 || c != 1 {
		t.Errorf("%d and %d registrations with the one before, %d with the new one", a, b, c)
	}
	again := &predecessor{counters: opened(t, now)}
	met.disconnected = true
	again.replace(met)
	if a, b := registered(before, 9), registered(now, 9); a != 1 || b != 1 {
		t.Errorf("%d registrations with the one before, %d with the new one", a, b)
	}
	again.close()
	if a, b := registered(before, 9), registered(now, 9); a+b != 0 {
		t.Errorf("%d registrations with the one before, %d with the new one, after the end", a, b)
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
	had := &predecessor{offer: takeover.Offer{State: handoff.State{Listeners: []handoff.Listener{{Address: "localhost:5002"}, {Address: "127.0.0.1:5001"}, {Address: "other.test:5003"}}}}}
	if found := had.matchListeners(c.Listeners); len(found) != 2 || found[c.Listeners[0]].Address != "127.0.0.1:5001" || found[c.Listeners[1]].Address != "localhost:5002" {
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
