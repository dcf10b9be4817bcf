package systemd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/leak"
)

// newSet returns a state with listeners of the given numbers of shards, and memory with the given
// text.
func newState(t *testing.T, counters string, shards ...int) handoff.State {
	t.Helper()
	s := handoff.State{Memory: handoff.Memory{Counters: memory(t, counters), Control: memory(t, "control of "+counters)}}
	for i, n := range shards {
		s.Listeners = append(s.Listeners, handoff.Listener{Name: fmt.Sprint("l", i), Address: ":5514", Protocol: "raw", Seed: 1<<32 - 1 - uint32(i), Sockets: udpSockets(t, n)})
	}
	return s
}

// wantSet fails the test unless got has duplicates of the files of want.
func wantState(t *testing.T, got, want handoff.State) {
	t.Helper()
	if !slices.Equal(contents(t, got.Memory.Files()), contents(t, want.Memory.Files())) {
		t.Error("other counters")
	}
	if len(got.Listeners) != len(want.Listeners) {
		t.Fatalf("%d listeners, want %d", len(got.Listeners), len(want.Listeners))
	}
	for i, l := range got.Listeners {
		w := want.Listeners[i]
		if l.Name != w.Name || l.Address != w.Address || l.Protocol != w.Protocol || l.Seed != w.Seed || !slices.Equal(identities(t, l.Sockets), identities(t, w.Sockets)) {
			t.Errorf("listener %d: %+v, want %+v", i, l, w)
		}
	}
}

func contents(t *testing.T, files []*os.File) (all []string) {
	for _, f := range files {
		all = append(all, content(t, f))
	}
	return all
}

func identities(t *testing.T, files []*os.File) (all [][2]uint64) {
	for _, f := range files {
		all = append(all, systemdtest.Identity(t, f))
	}
	return all
}

func store(t *testing.T, u *Unit, s handoff.State) {
	t.Helper()
	if err := u.StoreAndWait(testContext(t), s); err != nil {
		t.Fatal(err)
	}
}

// nextStart returns the result of Restore in the next process.
func nextStart(t *testing.T, m *systemdtest.Manager, activated ...Passed) Stored {
	t.Helper()
	k := Restore(append(activated, passedBy(m)...))
	t.Cleanup(k.Close)
	return k
}

func TestStore(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	first := newState(t, "first", 3, 0, 1)
	store(t, startedBy(m), first)
	k := nextStart(t, m)
	wantState(t, k.State, first)
	if k.Generation == 0 || k.Activated != nil || k.Surplus != nil || k.Dropped != nil {
		t.Errorf("%+v", k)
	}

	// The next process has counters of its own, a shard less, and a new listener.
	u := startedBy(m)
	next := newState(t, "next", 2)
	next.Listeners = append(next.Listeners, k.Listeners[0])
	next.Listeners[1].Sockets = k.Listeners[0].Sockets[:2]
	store(t, u, next)
	again := nextStart(t, m)
	wantState(t, again.State, next)
	if again.Generation <= k.Generation || again.Surplus != nil || again.Dropped != nil {
		t.Errorf("%+v", again)
	}
	if kept := m.StoredNames(); len(kept) != 4+3 {
		t.Errorf("%q", kept)
	}

	// The same state again: no stored socket is removed.
	before := len(m.Messages())
	store(t, u, next)
	if removed := slices.DeleteFunc(texts(m.Messages())[before:], func(s string) bool { return !strings.HasPrefix(s, "FDSTOREREMOVE=1") || !strings.Contains(s, "socket") }); len(removed) > 0 {
		t.Errorf("%q", removed)
	}
	wantState(t, nextStart(t, m).State, next)

	store(t, u, handoff.State{}) // an empty manifest
	if kept := m.StoredNames(); len(kept) != 1 {
		t.Errorf("%q", kept)
	}
	wantState(t, nextStart(t, m).State, handoff.State{})
}

// Wherever a process is killed during Store, a complete state is stored.
func TestKilledDuringStore(t *testing.T) {
	leak.Descriptors(t)
	old, next := newState(t, "old", 2, 2), newState(t, "next", 3)
	next.Listeners[0].Sockets = append(next.Listeners[0].Sockets, old.Listeners[1].Sockets[0])
	for takes := 0; ; takes++ {
		m := newManager(t)
		store(t, startedBy(m), old)
		m.Limit(systemdtest.DefaultCapacity, takes)
		store(t, startedBy(m), next)
		whole := m.Limit(systemdtest.DefaultCapacity, 0) > 0 // the manager would have handled more

		k := nextStart(t, m)
		if len(k.Listeners) == 2 {
			wantState(t, k.State, old)
			if whole {
				t.Fatal("all messages were handled, and the old state is stored")
			}
		} else {
			wantState(t, k.State, next)
		}
		if k.Dropped != nil {
			t.Errorf("after %d: %v", takes, k.Dropped)
		}
		// In both cases the state that the next process stores is complete, and nothing else is
		// stored.
		m.Limit(systemdtest.DefaultCapacity, -1)
		store(t, startedBy(m), k.State)
		if want := 3 + len(k.Listeners[0].Sockets); len(k.Listeners) == 1 && len(m.StoredNames()) != want || len(k.Listeners) == 2 && len(m.StoredNames()) != 7 {
			t.Errorf("after %d: %q", takes, m.StoredNames())
		}
		last := nextStart(t, m)
		wantState(t, last.State, k.State)
		if last.Surplus != nil || last.Dropped != nil {
			t.Errorf("after %d: %+v", takes, last)
		}
		if whole {
			break
		}
	}
}

// A successor in the same unit was not started from the store, and does not know the stored names.
func TestStoreOfSuccessor(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	old := newState(t, "old", 3)
	store(t, startedBy(m), old)
	successor := &Unit{socket: m.Address(), stored: make(map[string]bool)}
	next := newState(t, "next")
	next.Listeners = []handoff.Listener{old.Listeners[0]}
	next.Listeners[0].Sockets = old.Listeners[0].Sockets[:1]
	store(t, successor, next)
	k := nextStart(t, m)
	wantState(t, k.State, next)
	if len(k.Surplus) != 2 {
		t.Errorf("%d sockets of the set before are left, want 2", len(k.Surplus))
	}
}

func TestStoreIsTooSmall(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	m.Limit(8, -1)
	u := startedBy(m)
	u.limit = 8
	old, next := newState(t, "old", 2), newState(t, "next", 2)
	store(t, u, old)
	err := u.StoreAndWait(testContext(t), next)
	var full *FullError
	if !errors.As(err, &full) || full.Limit != 8 || full.Needed != 10 || full.Hint() != "set FileDescriptorStoreMax=10 or more in the unit" {
		t.Error(err)
	}
	wantState(t, nextStart(t, m).State, old)

	// A manager that does not tell its limit: the new manifest does not fit.
	u.limit = 0
	store(t, u, next)
	k := nextStart(t, m)
	if k.Generation != 0 { // the old manifest was removed
		t.Error(k.Generation)
	}
	if len(k.Surplus) == 0 || len(k.Dropped) == 0 {
		t.Errorf("%+v", k)
	}
}

func TestInvalidStates(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	s := newState(t, "x", 1, 1)
	s.Listeners[1].Sockets = s.Listeners[0].Sockets
	if err := startedBy(m).StoreAndWait(testContext(t), s); err == nil || !strings.Contains(err.Error(), "listener l1, shard 0: socket of another shard") {
		t.Error(err)
	}
	s.Listeners[1].Sockets = s.Memory.Files()
	if err := startedBy(m).StoreAndWait(testContext(t), s); err == nil || !strings.Contains(err.Error(), "SO_COOKIE") {
		t.Error(err)
	}
	if said := m.Messages(); said != nil {
		t.Errorf("%q", texts(said))
	}
}
