package systemd

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd/systemdtest"
	"github.com/udpshard/udpshard/internal/leak"
)

// passedSet returns the descriptors of a stored state as a manager passes them.
func passedState(t *testing.T, s handoff.State, generation uint64) (passed []Passed) {
	t.Helper()
	l, names, err := manifestOf(s)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.write()
	if err != nil {
		t.Fatal(err)
	}
	passed = append(passed, Passed{Name{ManifestKind, generation}.String(), file})
	for name, f := range names {
		passed = append(passed, Passed{name, systemdtest.Duplicate(t, f)})
	}
	return passed
}

func withoutKind(passed []Passed, kind Kind) []Passed {
	i := slices.IndexFunc(passed, func(p Passed) bool { n, _ := ParseName(p.Name); return n.Kind == kind })
	passed[i].File.Close()
	return slices.Delete(passed, i, i+1)
}

func restored(t *testing.T, passed ...Passed) Stored {
	t.Helper()
	k := Restore(passed)
	t.Cleanup(k.Close)
	return k
}

func TestRestoreNothing(t *testing.T) {
	if k := Restore(nil); k.Generation != 0 || k.Listeners != nil || k.Activated != nil || k.Surplus != nil || k.Dropped != nil {
		t.Errorf("%+v", k)
	}
}

func TestRestoreNewestCompleteState(t *testing.T) {
	leak.Descriptors(t)
	for name, c := range map[string]struct {
		change  func(t *testing.T, newer []Passed) []Passed
		newer   bool   // the newer manifest is restored
		dropped string // the expected error
		surplus int
	}{
		"whole":         {func(t *testing.T, p []Passed) []Passed { return p }, true, "", 1},
		"no counters":   {func(t *testing.T, p []Passed) []Passed { return withoutKind(p, CountersKind) }, false, "manifest 9: counters missing", 2},
		"a socket less": {func(t *testing.T, p []Passed) []Passed { return withoutKind(p, SocketKind) }, false, "manifest 9: socket of listener l0, shard ", 1},
		"no list":       {func(t *testing.T, p []Passed) []Passed { return withoutKind(p, ManifestKind) }, false, "", 2},
		"another format": {func(t *testing.T, p []Passed) []Passed {
			return withManifest(t, p, `{"format":1}`)
		}, false, "manifest 9: format 1, and this version reads format 2", 2},
		"no list in it": {func(t *testing.T, p []Passed) []Passed {
			return withManifest(t, p, `"`)
		}, false, "manifest 9: ", 2},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			old, next := newState(t, "old", 1), newState(t, "next", 2)
			k := restored(t, append(c.change(t, passedState(t, next, 9)), passedState(t, old, 8)...)...)
			want, generation := old, uint64(8)
			if c.newer {
				want, generation = next, 9
			}
			wantState(t, k.State, want)
			if k.Generation != generation || len(k.Surplus) != c.surplus {
				t.Errorf("%+v", k)
			}
			if (c.dropped != "") != (len(k.Dropped) == 1) || c.dropped != "" && !strings.HasPrefix(k.Dropped[0].Error(), c.dropped) {
				t.Errorf("%v, want %q", k.Dropped, c.dropped)
			}
		})
	}
}

func TestRestoreWithoutManifest(t *testing.T) {
	leak.Descriptors(t)
	s := newState(t, "x", 2)
	k := restored(t, withoutKind(passedState(t, s, 1), ManifestKind)...)
	if len(k.Surplus) != 2 || len(k.Dropped) != 1 || k.Dropped[0].Error() != "2 stored sockets without a manifest: the last store did not finish" {
		t.Errorf("%+v", k)
	}
}

func TestActivatedSockets(t *testing.T) {
	leak.Descriptors(t)
	m := newManager(t)
	sockets := udpSockets(t, 3)
	other, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { handoff.CloseFiles(other, pipe) })
	unit := func() (passed []Passed) { // sockets of a .socket unit
		for _, f := range sockets {
			passed = append(passed, Passed{"udpshard.socket", systemdtest.Duplicate(t, f)})
		}
		return append(passed, Passed{"LISTEN_FD_6", systemdtest.Duplicate(t, pipe)})
	}

	first := nextStart(t, m, unit()...)
	if len(first.Activated) != 4 || first.Activated[0].Name != "udpshard.socket" || first.Generation != 0 || first.Dropped != nil {
		t.Fatalf("%+v", first)
	}
	var got []*os.File
	for _, a := range first.Activated[:3] {
		got = append(got, a.File)
	}
	if !slices.Equal(identities(t, got), identities(t, sockets)) {
		t.Error("not in their order")
	}
	store(t, startedBy(m), handoff.State{Listeners: []handoff.Listener{{Address: ":5514", Sockets: got[:2]}}})

	// The sockets are passed twice from now on, and restored once.
	next := nextStart(t, m, unit()...)
	if len(next.Listeners[0].Sockets) != 2 || len(next.Activated) != 2 || systemdtest.Identity(t, next.Activated[0].File) != systemdtest.Identity(t, sockets[2]) || next.Surplus != nil {
		t.Errorf("%+v", next)
	}

	// With an incomplete manifest, activated sockets are no surplus.
	broken := restored(t, append(unit(), withoutKind(passedBy(m), ManifestKind)...)...)
	if len(broken.Activated) != 4 || broken.Surplus != nil {
		t.Errorf("%+v", broken)
	}
}

// withManifest replaces the text of the manifest.
func withManifest(t *testing.T, passed []Passed, text string) []Passed {
	for i, p := range passed {
		if name, ok := ParseName(p.Name); ok && name.Kind == ManifestKind {
			p.File.Close()
			passed[i].File = systemdtest.Duplicate(t, memory(t, text))
		}
	}
	return passed
}

func TestRestoreUnknownDescriptors(t *testing.T) {
	leak.Descriptors(t)
	s := newState(t, "x", 1)
	passed := passedState(t, s, 1)
	socket, counters := Name{Kind: SocketKind}, Name{Kind: CountersKind}
	var err, err2 error
	socket.ID, err = cookie(s.Listeners[0].Sockets[0])
	counters.ID, err2 = inode(s.Memory.Counters)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	k := restored(t, append(passed,
		Passed{"udpshard-kept-web-1", systemdtest.Duplicate(t, s.Memory.Counters)},
		Passed{Name{SocketKind, 1}.String(), systemdtest.Duplicate(t, s.Listeners[0].Sockets[0])},
		Passed{Name{SocketKind, 2}.String(), systemdtest.Duplicate(t, s.Memory.Counters)},
		Passed{Name{CountersKind, 1}.String(), systemdtest.Duplicate(t, s.Memory.Counters)},
		Passed{counters.String(), systemdtest.Duplicate(t, s.Memory.Counters)},
	)...)
	wantState(t, k.State, s)
	want := []string{
		"udpshard-kept-web-1: unknown kind of descriptor",
		"udpshard-kept-socket-1: the file is " + socket.String(),
		"udpshard-kept-socket-2: getsockopt SO_COOKIE: socket operation on non-socket",
		"udpshard-kept-counters-1: the file is " + counters.String(),
		counters.String() + ": duplicate name",
	}
	for i, w := range want {
		if i >= len(k.Dropped) || k.Dropped[i].Error() != w {
			t.Errorf("%v, want %s", k.Dropped, w)
		}
	}
}

func TestInvalidManifests(t *testing.T) {
	leak.Descriptors(t)
	for text, words := range map[string]string{
		"":   "unexpected end",
		`{}`: "format 0",
		`{"format":2,"listeners":[{"sockets":[7]},{"sockets":[6,7]}]}`: "same socket twice",
		`{"format":2,"counters":[7,7]}`:                                "same counters twice",
		`{"format":2,"counters":[7,6,5]}`:                              "3 files of counters, not 2",
		`{"format":2,"listeners":[{"sockets":[-1]}]}`:                  "cannot unmarshal",
		`{"format":2}` + strings.Repeat(" ", maxManifest):              "more than",
	} {
		f := memory(t, text)
		if _, err := readManifest(f); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.60s: %v, want %q", text, err, words)
		}
	}
	long := manifest{Format: manifestFormat, Listeners: []manifestListener{{Name: strings.Repeat("x", maxManifest)}}}
	if _, err := long.write(); err == nil || !strings.Contains(err.Error(), "limit is") {
		t.Error(err)
	}
}

// For any manifest, Restore neither panics nor loses a descriptor.
func FuzzManifest(f *testing.F) {
	for _, text := range []string{"", `{"format":2}`, `{"format":2,"counters":[7,8],"listeners":[{"name":"dns","address":":53","seed":4294967295,"sockets":[1,2]}]}`, `{"format":2,"listeners":[{"sockets":[1]},{"sockets":[1]}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseManifest(text)
		if err != nil {
			return
		}
		file, err := l.write()
		if err != nil {
			t.Fatal(err)
		}
		again, err := readManifest(file)
		if err != nil || len(again.Listeners) != len(l.Listeners) {
			t.Errorf("%+v, %v", again, err)
		}
		k := Restore([]Passed{{Name{ManifestKind, 1}.String(), file}})
		if (k.Generation == 1) == (len(k.Dropped) == 1) {
			t.Errorf("%+v", k)
		}
		k.Close()
	})
}
