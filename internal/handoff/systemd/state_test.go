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

// set has listeners of so many shards, and counters that say which it is.
func newSet(t *testing.T, counters string, shards ...int) handoff.State {
	t.Helper()
	s := handoff.State{Memory: handoff.Memory{Counters: memory(t, counters), Control: memory(t, "control of "+counters)}}
	for i, n := range shards {
		s.Listeners = append(s.Listeners, handoff.Listener{Name: fmt.Sprint("l", i), Address: ":5514", Protocol: "raw", Seed: 1<<32 - 1 - uint32(i), Sockets: udpSockets(t, n)})
	}
	return s
}

// same fails unless got is want, by duplicates.
func wantSet(t *testing.T, got, want handoff.State) {
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

func storeSet(t *testing.T, u *Unit, s handoff.State) {
	t.Helper()
	if err := u.StoreAndWait(testContext(t), s); err != nil {
		t.Fatal(err)
	}
}

// pass is what the next process would get.
func nextStart(t *testing.T, m *systemdtest.Manager, activated ...Passed) Stored {
	t.Helper()
	k := Restore(append(activated, passedBy(m)...))
	t.Cleanup(k.Close)
	return k
}

func TestKeep(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	first := newSet(t, "first", 3, 0, 1)
	storeSet(t, startedBy(m), first)
	k := nextStart(t, m)
	wantSet(t, k.State, first)
	if k.Generation == 0 || k.Activated != nil || k.Surplus != nil || k.Dropped != nil {
		t.Errorf("%+v", k)
	}

	// The next process has counters of its own, a shard less, and a new listener.
	u := startedBy(m)
	next := newSet(t, "next", 2)
	next.Listeners = append(next.Listeners, k.Listeners[0])
	next.Listeners[1].Sockets = k.Listeners[0].Sockets[:2]
	storeSet(t, u, next)
	again := nextStart(t, m)
	wantSet(t, again.State, next)
	if again.Generation <= k.Generation || again.Surplus != nil || again.Dropped != nil {
		t.Errorf("%+v", again)
	}
	if kept := m.StoredNames(); len(kept) != 4+3 {
		t.Errorf("%q", kept)
	}

	// The very same once more: sockets stay where they are.
	before := len(m.Messages())
	storeSet(t, u, next)
	if removed := slices.DeleteFunc(texts(m.Messages())[before:], func(s string) bool { return !strings.HasPrefix(s, "FDSTOREREMOVE=1") || !strings.Contains(s, "socket") }); len(removed) > 0 {
		t.Errorf("%q", removed)
	}
	wantSet(t, nextStart(t, m).State, next)

	storeSet(t, u, handoff.State{}) // nothing but a list of nothing
	if kept := m.StoredNames(); len(kept) != 1 {
		t.Errorf("%q", kept)
	}
	wantSet(t, nextStart(t, m).State, handoff.State{})
}

// Wherever a process is killed while it keeps, the store has a whole set.
func TestKilledWhileKeeping(t *testing.T) {
	leak.Descriptors(t)
	old, next := newSet(t, "old", 2, 2), newSet(t, "next", 3)
	next.Listeners[0].Sockets = append(next.Listeners[0].Sockets, old.Listeners[1].Sockets[0])
	for takes := 0; ; takes++ {
		m := newManager(t)
		storeSet(t, startedBy(m), old)
		m.Limit(systemdtest.DefaultCapacity, takes)
		storeSet(t, startedBy(m), next)
		whole := m.Limit(systemdtest.DefaultCapacity, 0) > 0 // it would have taken more

		k := nextStart(t, m)
		if len(k.Listeners) == 2 {
			wantSet(t, k.State, old)
			if whole {
				t.Fatal("nothing came of it")
			}
		} else {
			wantSet(t, k.State, next)
		}
		if k.Dropped != nil {
			t.Errorf("after %d: %v", takes, k.Dropped)
		}
		// Whatever it was, what the process after that keeps is all there is.
		m.Limit(systemdtest.DefaultCapacity, -1)
		storeSet(t, startedBy(m), k.State)
		if want := 3 + len(k.Listeners[0].Sockets); len(k.Listeners) == 1 && len(m.StoredNames()) != want || len(k.Listeners) == 2 && len(m.StoredNames()) != 7 {
			t.Errorf("after %d: %q", takes, m.StoredNames())
		}
		last := nextStart(t, m)
		wantSet(t, last.State, k.State)
		if last.Surplus != nil || last.Dropped != nil {
			t.Errorf("after %d: %+v", takes, last)
		}
		if whole {
			break
		}
	}
}

// A successor in the same unit was not started from the store, and does not
// know what is in it.
func TestSuccessorKeeps(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	old := newSet(t, "old", 3)
	storeSet(t, startedBy(m), old)
	successor := &Unit{socket: m.Address(), stored: make(map[string]bool)}
	next := newSet(t, "next")
	next.Listeners = []handoff.Listener{old.Listeners[0]}
	next.Listeners[0].Sockets = old.Listeners[0].Sockets[:1]
	storeSet(t, successor, next)
	k := nextStart(t, m)
	wantSet(t, k.State, next)
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
	old, next := newSet(t, "old", 2), newSet(t, "next", 2)
	storeSet(t, u, old)
	err := u.StoreAndWait(testContext(t), next)
	var full *FullError
	if !errors.As(err, &full) || full.Limit != 8 || full.Needed != 10 || full.Hint() != "set FileDescriptorStoreMax=10 or more in the unit" {
		t.Error(err)
	}
	wantSet(t, nextStart(t, m).State, old)

	// A manager that does not tell: the older set stays the newest that is whole.
	u.limit = 0
	storeSet(t, u, next)
	k := nextStart(t, m)
	if k.Generation != 0 { // the old list was removed as the new one did not fit
		t.Error(k.Generation)
	}
	if len(k.Surplus) == 0 || len(k.Dropped) == 0 {
		t.Errorf("%+v", k)
	}
}

func TestSetsThatCannotBeKept(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	s := newSet(t, "x", 1, 1)
	s.Listeners[1].Sockets = s.Listeners[0].Sockets
	if err := startedBy(m).StoreAndWait(testContext(t), s); err == nil || !strings.Contains(err.Error(), "listener l1, shard 0: its socket is another shard's") {
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
