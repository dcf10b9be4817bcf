package systemd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/handoff"
)

// Keep is Put, and returns once the manager has dealt with it: before the end
// of a process, whose messages it may not know the unit of any more.
func (u *Unit) StoreAndWait(ctx context.Context, s handoff.State) error {
	if err := u.Store(ctx, s); err != nil {
		return err
	}
	return u.Barrier(ctx)
}

// Put stores a set in place of what was stored before. It does not wait until
// the manager has dealt with it, nor does it for whoever says something after
// that: it deals with messages in their order. The files stay open and the
// caller's. Whenever the process is killed meanwhile, the store has one of the
// two sets whole.
//
// Sockets that only the set before has are closed in the store. As long as
// they were there they were members of their SO_REUSEPORT group, whether read
// or not: call it before this process closes the last duplicate, and read what
// waits there in between.
//
// It is called by one goroutine at a time. The error is a *FullError where the
// store is known to be too small, and then nothing was changed. An older
// manager than systemd 254 does not tell; that of a unit without a store
// ignores it all. Other errors are the context's, where so many messages wait
// for the manager that there is no room for more, or the kernel's.
func (u *Unit) Store(ctx context.Context, s handoff.State) error {
	if u == nil || u.socket == "" {
		return nil
	}
	generation := u.nextGeneration()
	l, names, err := manifestOf(s)
	if err != nil {
		return err
	}
	file, err := l.write()
	if err != nil {
		return err
	}
	defer file.Close()
	sheet := Name{ManifestKind, generation}.String()
	want := map[string]bool{sheet: true}
	for name := range names {
		want[name] = true
	}
	if err := u.checkRoom(want); err != nil {
		return err
	}

	for name, file := range names {
		if err := u.storeFiles(ctx, name, file); err != nil {
			return err
		}
	}
	if err := u.storeFiles(ctx, sheet, file); err != nil { // from here on it is this set
		return err
	}
	for _, name := range u.unwanted(want) {
		if err := u.removeFiles(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// list returns the set's list, and what is in it by the names for the store.
func manifestOf(s handoff.State) (manifest, map[string]*os.File, error) {
	l := manifest{Format: manifestFormat}
	names := make(map[string]*os.File)
	for _, f := range s.Memory.Files() {
		number, err := inode(f)
		if err != nil {
			return manifest{}, nil, fmt.Errorf("the counters: %w", err)
		}
		names[Name{CountersKind, number}.String()] = f
		l.Counters = append(l.Counters, number)
	}
	for _, had := range s.Listeners {
		item := manifestListener{Name: had.Name, Address: had.Address, Protocol: had.Protocol, Seed: had.Seed}
		for i, f := range had.Sockets {
			number, err := cookie(f)
			if err != nil {
				return manifest{}, nil, fmt.Errorf("listener %s, shard %d: %w", had.Name, i, err)
			}
			name := Name{SocketKind, number}.String()
			if names[name] != nil {
				return manifest{}, nil, fmt.Errorf("listener %s, shard %d: its socket is another shard's", had.Name, i)
			}
			names[name] = f
			item.Sockets = append(item.Sockets, number)
		}
		l.Listeners = append(l.Listeners, item)
	}
	return l, names, nil
}

// nextGeneration returns a number above that of any set that was stored before.
// It is the monotonic clock's, in microseconds, which starts with the system,
// as stores do: a process that has not seen the set before, since it did not
// start from the store, gets a higher one too.
func (u *Unit) nextGeneration() uint64 {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		now = unix.Timespec{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.generation = max(u.generation+1, uint64(now.Nano()/1000))
	return u.generation
}

// fits says whether there is room for what is wanted beside what is stored.
func (u *Unit) checkRoom(want map[string]bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := maps.Clone(u.stored)
	maps.Copy(all, want)
	if u.limit > 0 && len(all) > u.limit {
		return &FullError{Limit: u.limit, Needed: len(all)}
	}
	return nil
}

// leftovers returns what is stored and not wanted, the lists first: nothing is
// to be missing from a list that is there.
func (u *Unit) unwanted(want map[string]bool) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var names []string
	for name := range u.stored {
		if !want[name] {
			names = append(names, name)
		}
	}
	isList := func(name string) int {
		if n, ok := ParseName(name); ok && n.Kind == ManifestKind {
			return 0
		}
		return 1
	}
	slices.SortFunc(names, func(a, b string) int { return isList(a) - isList(b) })
	return names
}

// FullError says that the store has no room for a set, beside the one before.
type FullError struct{ Limit, Needed int }

func (e *FullError) Error() string {
	return fmt.Sprintf("the service manager's descriptor store takes %d, and %d are needed", e.Limit, e.Needed)
}

// Hint says what to do about it.
func (e *FullError) Hint() string {
	return fmt.Sprintf("set FileDescriptorStoreMax=%d or more in the unit", e.Needed)
}
