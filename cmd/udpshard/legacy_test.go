package main

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

func TestAServiceWithSeveralRuntimeDirectories(t *testing.T) {
	first := t.TempDir()
	args := []string{"--listen", freePort(t), "--shards", "1", "--output", "discard"}
	directories := func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Environ(), "RUNTIME_DIRECTORY="+first+":"+t.TempDir())
	}
	before := serving(t, directories, args...)
	after := serving(t, nil, append(args, "--takeover", filepath.Join(first, "takeover.sock"))...)
	if code := before.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	after.wantSaid("took over")
}

// Listeners are known by their address, and those that share one by their names.
func TestWhichListenerGoesOn(t *testing.T) {
	had := func(names ...string) *legacy {
		l := new(legacy)
		for i, name := range names {
			l.offer.Listeners = append(l.offer.Listeners, handoff.Listener{Name: name, Address: []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:5514"}[i]})
		}
		return l
	}
	a, b, other := &config.Listener{Name: "a", Address: "127.0.0.1:0"}, &config.Listener{Name: "b", Address: "127.0.0.1:0"}, &config.Listener{Name: "c", Address: "[::ffff:127.0.0.1]:5514"}
	for _, c := range []struct {
		had  *legacy
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
			if before := c.had.continued([]*config.Listener{a, b, other})[l]; before != nil {
				name = before.Name
			}
			if name != c.want[i] {
				t.Errorf("%s goes on from %q, want %q", l.Name, name, c.want[i])
			}
		}
	}
}

// otherVersion is an active process whose counters are laid out in another way.
type otherVersion struct{ book *metrics.SharedCounters }

func (otherVersion) Quiesce(context.Context) error         { return net.ErrClosed }
func (otherVersion) Resume(error)                          {}
func (otherVersion) SuccessorFailed(takeover.Hello, error) {}
func (otherVersion) Committing(takeover.Hello)             {}
func (otherVersion) Committed(takeover.Hello)              {}

func (o otherVersion) Offer(takeover.Hello) (offer takeover.Offer, err error) {
	offer.Memory, err = duplicateMemory(memoryOf(o.book))
	return offer, err
}

// A version whose counters are of another layout refuses an upgrade, and says what to do.
func TestAnotherLayoutOfTheCounters(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "syslog", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	const version = 8 // where it is in the control memory
	if _, err := book.Control().WriteAt([]byte{250, 0, 0, 0}, version); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "takeover.sock")
	server, err := takeover.Listen(path, "0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(context.Background(), otherVersion{book}) }()
	defer func() {
		server.Close()
		<-served
	}()
	for _, role := range []string{"--standby=false", "--standby"} {
		p := launch(t, nil, "serve", "--http", "", "--listen", freePort(t), "--shards", "1",
			"--output", "discard", "--takeover", path, role)
		if code := p.wait(); code != cli.ExitFailed {
			t.Errorf("%s: exit code %d", role, code)
		}
		for _, want := range []string{
			"layout version 250, and this program needs version",
			"udpshard: hint: the two versions can't hand over to each other: stop the active process",
		} {
			if !p.says(want) {
				t.Errorf("%s: %q is not in\n%s", role, want, p.logs)
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
	last := &legacy{book: opened(t, before), sought: true}
	met := &legacy{book: opened(t, now)}
	met.replaces(last)
	if a, b, c := registered(before, metrics.FirstEpoch), registered(before, metrics.FirstEpoch+1), registered(now, 9); a != 0 || b != 1 || c != 1 {
		t.Errorf("%d and %d registrations with the one before, %d with the new one", a, b, c)
	}
	again := &legacy{book: opened(t, now)}
	met.sought = true
	again.replaces(met)
	if a, b := registered(before, 9), registered(now, 9); a != 1 || b != 1 {
		t.Errorf("%d registrations with the one before, %d with the new one", a, b)
	}
	again.close()
	if a, b := registered(before, 9), registered(now, 9); a+b != 0 {
		t.Errorf("%d registrations with the one before, %d with the new one, after the end", a, b)
	}
}
