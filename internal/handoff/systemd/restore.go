package systemd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/handoff"
)

// Stored is the result of Restore: the descriptors that the manager passed to this process.
type Stored struct {
	// State is that of the newest complete manifest, and zero with Generation 0 if the store has
	// no complete manifest.
	handoff.State
	Generation uint64
	// Activated are the sockets of .socket units, in bind order, without sockets in State: a
	// process of this unit has stored those.
	Activated []Passed
	// Surplus are stored sockets that are in no complete manifest. Datagrams may wait in the
	// sockets, and the kernel queues more until the sockets are closed here and, by the next
	// Store, in the store.
	Surplus []*os.File
	// Dropped has an error for each other descriptor that is of no use.
	Dropped []error
}

// Close closes all files.
func (k *Stored) Close() {
	k.State.Close()
	for _, p := range k.Activated {
		p.File.Close()
	}
	handoff.CloseFiles(k.Surplus...)
	*k = Stored{}
}

// Restore sorts the descriptors of Unit.Passed. The result owns the files; files of no use are
// closed.
func Restore(passed []Passed) Stored {
	var k Stored
	p := unclaimed{sockets: make(map[uint64]*os.File), counters: make(map[uint64]*os.File), manifests: make(map[uint64]*os.File)}
	for _, it := range passed {
		name, ok := ParseName(it.Name)
		if ok {
			if err := p.add(name, it.File); err != nil {
				k.drop(fmt.Errorf("%s: %w", it.Name, err))
			}
		} else if strings.HasPrefix(it.Name, prefix) {
			it.File.Close()
			k.drop(fmt.Errorf("%s: unknown kind of descriptor", it.Name))
		} else {
			k.Activated = append(k.Activated, it)
		}
	}
	newestFirst := slices.SortedFunc(maps.Keys(p.manifests), func(a, b uint64) int { return cmp.Compare(b, a) })
	for _, generation := range newestFirst {
		state, err := p.claim(generation)
		if err == nil {
			k.State, k.Generation = state, generation
			break
		}
		k.drop(fmt.Errorf("manifest %d: %w", generation, err))
	}
	k.Activated = slices.DeleteFunc(k.Activated, k.isDuplicate(&p))
	for _, number := range slices.Sorted(maps.Keys(p.sockets)) {
		k.Surplus = append(k.Surplus, p.sockets[number])
	}
	if k.Generation == 0 && len(p.manifests) == 0 && len(p.sockets) > 0 {
		k.drop(fmt.Errorf("%d stored sockets without a manifest: the last store did not finish", len(p.sockets)))
	}
	handoff.CloseFiles(slices.Collect(maps.Values(p.counters))...)
	handoff.CloseFiles(slices.Collect(maps.Values(p.manifests))...)
	return k
}

func (k *Stored) drop(why error) { k.Dropped = append(k.Dropped, why) }

// isDuplicate returns a function that reports whether an activated socket is a duplicate of a
// socket in State, and then closes the duplicate. An unclaimed duplicate is closed and forgotten:
// the activated socket stays, and there is no surplus.
func (k *Stored) isDuplicate(p *unclaimed) func(Passed) bool {
	kept := make(map[uint64]bool)
	for _, l := range k.Listeners {
		for _, f := range l.Sockets {
			if number, err := cookie(f); err == nil {
				kept[number] = true
			}
		}
	}
	return func(it Passed) bool {
		number, err := cookie(it.File)
		if err != nil { // a named pipe, or another file of a .socket unit
			return false
		}
		if kept[number] {
			it.File.Close()
			return true
		}
		if twin := p.sockets[number]; twin != nil {
			twin.Close()
			delete(p.sockets, number)
		}
		return false
	}
}

// unclaimed has the stored files by number, until a manifest claims them.
type unclaimed struct{ sockets, counters, manifests map[uint64]*os.File }

// add adds a file, or closes the file on an error.
func (p *unclaimed) add(name Name, file *os.File) error {
	into := map[Kind]map[uint64]*os.File{SocketKind: p.sockets, CountersKind: p.counters, ManifestKind: p.manifests}[name.Kind]
	err := error(nil)
	if into[name.ID] != nil {
		err = errors.New("duplicate name")
	} else {
		err = checkIdentity(name, file)
	}
	if err != nil {
		file.Close()
		return err
	}
	into[name.ID] = file
	return nil
}

// checkIdentity returns an error if the number in a name is not that of the file.
func checkIdentity(name Name, file *os.File) error {
	var number uint64
	var err error
	switch name.Kind {
	case SocketKind:
		number, err = cookie(file)
	case CountersKind:
		number, err = inode(file)
	default:
		return nil
	}
	if was := (Name{name.Kind, number}); err == nil && was != name {
		err = fmt.Errorf("the file is %s", was)
	}
	return err
}

// claim returns the state of a manifest, and removes its files from p. Without all files, claim
// changes nothing.
func (p *unclaimed) claim(generation uint64) (handoff.State, error) {
	l, err := readManifest(p.manifests[generation])
	if err != nil {
		return handoff.State{}, err
	}
	for _, number := range l.Counters {
		if p.counters[number] == nil {
			return handoff.State{}, errors.New("counters missing")
		}
	}
	for _, item := range l.Listeners {
		for i, number := range item.Sockets {
			if p.sockets[number] == nil {
				return handoff.State{}, fmt.Errorf("socket of listener %s, shard %d missing", item.Name, i)
			}
		}
	}
	var s handoff.State
	if len(l.Counters) > 0 {
		var files []*os.File
		for _, number := range l.Counters {
			files = append(files, p.counters[number])
			delete(p.counters, number)
		}
		s.Memory = handoff.MemoryOf(files)
	}
	for _, item := range l.Listeners {
		had := handoff.Listener{Name: item.Name, Address: item.Address, Protocol: item.Protocol, Seed: item.Seed}
		for _, number := range item.Sockets {
			had.Sockets = append(had.Sockets, p.sockets[number])
			delete(p.sockets, number)
		}
		s.Listeners = append(s.Listeners, had)
	}
	return s, nil
}
