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

// Kept is what was passed to this process, in order.
type Stored struct {
	// Set is the newest set of which all is there. Where its Generation is 0
	// there was none.
	handoff.State
	Generation uint64
	// Activated are those of .socket units, in the order in which their
	// sockets were bound. One that is in the set already, for a process of
	// this unit has kept it, is not here again.
	Activated []Passed
	// Surplus are sockets that were stored and that no whole set has.
	// Datagrams may wait in them, and until they are closed here, and in the
	// store by the next Put, the kernel gives them more.
	Surplus []*os.File
	// Dropped says what else was stored and is of no use.
	Dropped []error
}

// Close closes all that is in it.
func (k *Stored) Close() {
	k.State.Close()
	for _, p := range k.Activated {
		p.File.Close()
	}
	handoff.CloseFiles(k.Surplus...)
	*k = Stored{}
}

// Sort puts in order what Passed returned. The files are those of the Kept
// then, or closed.
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
			k.drop(fmt.Errorf("%s: this version does not know what that is", it.Name))
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
		k.drop(fmt.Errorf("set %d: %w", generation, err))
	}
	k.Activated = slices.DeleteFunc(k.Activated, k.isDuplicate(&p))
	for _, number := range slices.Sorted(maps.Keys(p.sockets)) {
		k.Surplus = append(k.Surplus, p.sockets[number])
	}
	if k.Generation == 0 && len(p.manifests) == 0 && len(p.sockets) > 0 {
		k.drop(fmt.Errorf("%d sockets are in no set: it was not stored to the end", len(p.sockets)))
	}
	handoff.CloseFiles(slices.Collect(maps.Values(p.counters))...)
	handoff.CloseFiles(slices.Collect(maps.Values(p.manifests))...)
	return k
}

func (k *Stored) drop(why error) { k.Dropped = append(k.Dropped, why) }

// again returns what says whether an activated socket is another duplicate of
// one that is in the set, and closes it then. One that is on the pile is not
// surplus: it is the one that was activated.
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
		if err != nil { // a named pipe, or what else a .socket unit has
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

// pile is what was in the store, by number.
type unclaimed struct{ sockets, counters, manifests map[uint64]*os.File }

// add lays a file on the pile, or closes it.
func (p *unclaimed) add(name Name, file *os.File) error {
	into := map[Kind]map[uint64]*os.File{SocketKind: p.sockets, CountersKind: p.counters, ManifestKind: p.manifests}[name.Kind]
	err := error(nil)
	if into[name.ID] != nil {
		err = errors.New("there are two of it")
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

// is returns an error if a file is not what its name says.
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
		err = fmt.Errorf("it is %s", was)
	}
	return err
}

// take removes a set from the pile, if all that its list has is there.
func (p *unclaimed) claim(generation uint64) (handoff.State, error) {
	l, err := readManifest(p.manifests[generation])
	if err != nil {
		return handoff.State{}, fmt.Errorf("its list: %w", err)
	}
	for _, number := range l.Counters {
		if p.counters[number] == nil {
			return handoff.State{}, errors.New("its counters are missing")
		}
	}
	for _, item := range l.Listeners {
		for i, number := range item.Sockets {
			if p.sockets[number] == nil {
				return handoff.State{}, fmt.Errorf("the socket of listener %s, shard %d is missing", item.Name, i)
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
