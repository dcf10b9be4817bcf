package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/systemd"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// service is this process as a service of systemd, which knows when it is ready
// and alive, and keeps its sockets and counters for the next one. Where systemd
// has not started it, all of it does nothing.
type service struct {
	unit         *systemd.Unit
	stored       systemd.Stored // of the process before, and of .socket units
	log          zerolog.Logger
	loggedUnused bool // what nobody will read
	owns         bool // some sockets are a .socket unit's, which keeps them
	stores       bool // the manager keeps what this process has

	mu     sync.Mutex // held while it is looked at
	server *server    // nil: none whose counters there are
}

func openService(log zerolog.Logger) *service {
	unit, err := systemd.Open()
	if err != nil {
		log.Warn().Err(err).Msg("environment of the service manager unusable")
	}
	v := &service{unit: unit, log: log, stored: systemd.Restore(unit.Passed())}
	for _, err := range v.stored.Dropped {
		log.Warn().Err(err).Msg("stored descriptor unusable")
	}
	if interval, on := unit.Watchdog(); on {
		go v.watch(interval / 2)
	}
	return v
}

// watch tells the manager again and again that the shards turn, while they do.
func (v *service) watch(every time.Duration) {
	for range time.Tick(every) {
		if v.alive(time.Now(), max(every, minWatchdogLimit)) {
			v.logError("the watchdog", v.unit.Alive())
		}
	}
}

// minWatchdogLimit is in what time every shard gives a sign of life, some times over,
// also where nothing comes.
const minWatchdogLimit = time.Second

func (v *service) alive(now time.Time, limit time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.server == nil || v.server.ledger.Role() != metrics.Active || len(v.server.ledger.Stalled(now, limit)) == 0
}

// setServer has the watchdog look at a server; at none before its counters go.
func (v *service) setServer(at *server) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.server = at
}

// logError logs what the manager could not be told.
func (v *service) logError(what string, err error) {
	if err != nil {
		v.log.Warn().Err(err).Str("about", what).Msg("notification of the service manager failed")
	}
}

// storedPredecessor is what the manager has for a configuration: sockets and counters of
// the process before, and sockets of .socket units; nil where there is nothing.
func (v *service) storedPredecessor(c *config.Config) (*succession.Predecessor, error) {
	l := succession.NewStored(v.log)
	err := v.assignSockets(c, l)
	if err != nil || len(l.Offer.Listeners) == 0 {
		l.Close()
		return nil, err
	}
	if v.stored.Memory.Counters == nil {
		return l, nil
	}
	memory, err := v.stored.Memory.Duplicate()
	if err == nil {
		l.Counters, err = metrics.OpenSharedCounters(memory.Counters, memory.Control)
	}
	if err != nil { // better without than not at all
		v.log.Error().Err(err).Str("effect", "counters begin at zero").Msg("stored counters unusable")
	}
	return l, nil
}

// assignSockets gives each listener the sockets of its address.
func (v *service) assignSockets(c *config.Config, l *succession.Predecessor) error {
	used := make(map[*os.File]bool)
	kept := make(map[string][]handoff.Listener) // by the spelling of the address
	for _, one := range v.stored.Listeners {
		kept[one.Address] = append(kept[one.Address], one)
	}
	unassigned := make(map[netip.AddrPort][]*os.File)
	for _, file := range v.unassigned() {
		if at, err := engine.SocketAddress(file); err == nil {
			unassigned[withoutZone(at)] = append(unassigned[withoutZone(at)], file)
		}
	}
	for _, want := range c.Listeners {
		had := handoff.Listener{Name: want.Name, Address: want.Address, Protocol: want.Protocol, Seed: rand.Uint32()}
		at := withoutZone(want.Resolved())
		var files []*os.File
		for _, one := range kept[want.Address] {
			had.Seed = one.Seed
			for _, file := range one.Sockets {
				bound, err := engine.SocketAddress(file)
				here, anyPort := withoutZone(bound), at.Port() == 0
				if err == nil && here.Addr() == at.Addr() && (anyPort || here.Port() == at.Port()) {
					files = append(files, file)
				}
			}
		}
		for _, file := range unassigned[at] {
			if !used[file] {
				files = append(files, file)
			}
		}
		for _, file := range files {
			used[file] = true
			file, err := sys.DuplicateFile(file, "")
			if err != nil {
				return err
			}
			had.Sockets = append(had.Sockets, file)
		}
		if len(had.Sockets) > 0 {
			l.Offer.Listeners = append(l.Offer.Listeners, had)
		}
	}
	for _, p := range v.stored.Activated {
		v.owns = v.owns || used[p.File]
	}
	v.logUnused(used)
	return nil
}

// unassigned are the sockets that no list assigns to a listener.
func (v *service) unassigned() []*os.File {
	files := slices.Clone(v.stored.Surplus)
	for _, p := range v.stored.Activated {
		files = append(files, p.File)
	}
	return files
}

// logUnused tells, once, what nobody will read.
func (v *service) logUnused(used map[*os.File]bool) {
	if v.loggedUnused {
		return
	}
	v.loggedUnused = true
	tell := func(file *os.File, name string) {
		if used[file] {
			return
		}
		event := v.log.Warn().Str("from", name)
		if at, err := engine.SocketAddress(file); err == nil {
			event = event.Stringer("address", at)
		} else {
			event = event.Err(err)
		}
		event.Str("effect", "no process reads the socket").Msg("socket of the service manager unused")
	}
	for _, l := range v.stored.Listeners {
		for _, file := range l.Sockets {
			tell(file, l.Name)
		}
	}
	for _, file := range v.stored.Surplus {
		tell(file, "the store")
	}
	for _, p := range v.stored.Activated {
		tell(p.File, p.Name)
	}
}

// withoutZone returns an address whose zone, which can be called by its name or its number, is
// left out.
func withoutZone(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}

// storeTimeout is for how long nobody may read, for the manager's sake: receive
// buffers bear that.
const storeTimeout = 100 * time.Millisecond

// storePatience is how long the manager may take to take what it is sent, where
// nobody waits for datagrams meanwhile.
const storePatience = 5 * time.Second

// store has the manager keep the server's sockets and counters, in the place of
// what it has kept. It comes before the server reads: whatever that counts is
// in the store's counters.
func (v *service) store(s *server, patience time.Duration) error {
	if !v.unit.Managed() {
		return nil
	}
	soon, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state, err := s.state()
	if err == nil {
		err = v.unit.Store(soon, state)
	}
	state.Close() // also what there is of it with an error
	return err
}

func (v *service) reloading() { v.logError("a reload", v.unit.Reloading()) }

// ready says that the service is ready, once the manager has what keep has sent,
// or can't keep it.
func (v *service) ready(s *server, kept error) {
	if errors.Is(kept, os.ErrDeadlineExceeded) {
		kept = v.store(s, storePatience)
	}
	v.stores = v.owns || v.unit.Managed() && kept == nil
	if kept != nil {
		event := v.log.Error().Err(kept)
		if full := (*systemd.FullError)(nil); errors.As(kept, &full) {
			event = event.Str("remedy", full.Hint())
		}
		event.Str("effect", "a restart loses queued datagrams, and counters begin at zero").Msg("descriptor store failed")
	}
	v.stored.Close()
	v.logError("being ready", v.unit.Ready(s.summary()))
}

// clearStore has the manager close what it keeps: another process has it.
func (v *service) clearStore(put func(context.Context, handoff.State) error, patience time.Duration) {
	soon, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v.logError("sockets that are another's now", put(soon, handoff.State{}))
	v.stored.Close()
}

// stopping says that the service has ended, and that another one has what it had.
func (v *service) stopping(why string) {
	v.logError("stopping", v.unit.Stopping(why))
	v.clearStore(v.unit.StoreAndWait, storePatience)
}

// standsBy says that the service is ready for what it is there for.
func (v *service) standsBy(process string) {
	v.clearStore(v.unit.Store, storeTimeout)
	v.logError("being ready", v.unit.Ready("standing by for "+process))
}

// setMainPID says which process the service is from now on. A manager that does not
// read holds nobody up.
func (v *service) setMainPID(pid int) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		v.logError("the successor", v.unit.MainPID(pid))
	}()
	select {
	case <-said:
	case <-time.After(storeTimeout):
	}
}

// summary is a line on what the server does.
func (s *server) summary() string {
	shards := 0
	for _, g := range s.listeners {
		shards += len(g.Listener().Shards)
	}
	return fmt.Sprintf("serving %d listeners with %d shards", len(s.listeners), shards)
}

// sameUnit says whether a process is in the control group of this one, and so
// of the same service.
func sameUnit(pid int) bool {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || pid == 0 {
		return false
	}
	other, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	return err == nil && string(own) == string(other)
}
