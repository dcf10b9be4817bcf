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

// StoreAndWait is Store, and then waits until the manager has handled the messages. It is for a
// process that is about to end, because the manager may not find the unit of a message whose
// sender has ended.
func (u *Unit) StoreAndWait(ctx context.Context, s handoff.State) error {
	if err := u.Store(ctx, s); err != nil {
		return err
	}
	return u.Barrier(ctx)
}

// Store stores a state in place of the previous state. Store does not wait for the manager, which
// handles messages in the order of sending. The caller keeps the files, which stay open. Wherever
// the process is killed meanwhile, the store has one of the two states complete.
//
// Sockets of the previous state alone are removed from the store, and were members of their
// SO_REUSEPORT group until then, read or not. So call Store before this process closes the last
// duplicate of a removed socket, and then read the rest of its queue.
//
// One goroutine at a time may call Store. The error is a *FullError if the store is too small, and
// then nothing was changed. A manager before systemd 254 does not tell the size of the store; a
// manager ignores the messages of a unit without a store. Other errors are of the context, if too
// many messages wait for the manager, or of the kernel.
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
	manifestName := Name{ManifestKind, generation}.String()
	want := map[string]bool{manifestName: true}
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
	if err := u.storeFiles(ctx, manifestName, file); err != nil { // from here on the new state is stored
		return err
	}
	for _, name := range u.unwanted(want) {
		if err := u.removeFiles(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// manifestOf returns the manifest of a state, and the files of the state by their names in the
// store.
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
				return manifest{}, nil, fmt.Errorf("listener %s, shard %d: socket of another shard", had.Name, i)
			}
			names[name] = f
			item.Sockets = append(item.Sockets, number)
		}
		l.Listeners = append(l.Listeners, item)
	}
	return l, names, nil
}

// nextGeneration returns a number above all stored generations: the monotonic clock in
// microseconds, which starts at boot, as the store does. So also a process that has not read the
// store, because it did not start from the store, gets a higher number.
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

// checkRoom returns an error if the store is too small for wanted and stored descriptors together.
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

// unwanted returns the stored names that are not wanted, manifests first: no stored manifest may
// lack a descriptor.
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

// FullError says that the store has no room for a state beside the previous state.
type FullError struct{ Limit, Needed int }

func (e *FullError) Error() string {
	return fmt.Sprintf("the service manager's descriptor store takes %d, and %d are needed", e.Limit, e.Needed)
}

// Hint returns the remedy.
func (e *FullError) Hint() string {
	return fmt.Sprintf("set FileDescriptorStoreMax=%d or more in the unit", e.Needed)
}
