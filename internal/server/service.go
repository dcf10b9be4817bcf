package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/systemd"
	"github.com/udpshard/udpshard/metrics"
)

// service is this process as a service of systemd, the service manager: systemd gets readiness and
// signs of life, and stores sockets and counters for the next process. In a process that systemd
// has not started, the methods do nothing.
type service struct {
	unit         *systemd.Unit
	stored       systemd.Stored // of the previous process, and of .socket units
	log          zerolog.Logger
	loggedUnused bool // the unused sockets are in the log
	owns         bool // some sockets of this process belong to a .socket unit, which keeps them open
	stores       bool // the manager has stored the sockets of this process

	mu     sync.Mutex
	server *server // guarded by mu; nil: no server whose counters are open
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

// watch sends a sign of life to the watchdog at each interval in which no shard hangs.
func (v *service) watch(every time.Duration) {
	for range time.Tick(every) {
		if v.alive(time.Now(), max(every, minWatchdogLimit)) {
			v.logError("the watchdog", v.unit.Alive())
		}
	}
}

// minWatchdogLimit is the least time without heartbeat after which a shard hangs for the watchdog.
// A shard without datagrams has a heartbeat every 250 ms.
const minWatchdogLimit = time.Second

func (v *service) alive(now time.Time, limit time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.server == nil {
		return true
	}
	ledger := v.server.ledger
	return ledger.Role() != metrics.Active || len(ledger.Stalled(now, limit)) == 0
}

// setServer sets the server for the watchdog: nil before the counters of a server are closed.
func (v *service) setServer(s *server) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.server = s
}

// logError logs a notification that the manager has not received.
func (v *service) logError(about string, err error) {
	if err != nil {
		v.log.Warn().Err(err).Str("about", about).Msg("notification of the service manager failed")
	}
}

const (
	// storeTimeout is how long the manager may delay this process while no process reads: for less
	// than receive buffers can bridge.
	storeTimeout = 100 * time.Millisecond
	// storePatience is how long the manager may delay this process at other times.
	storePatience = 5 * time.Second
)

// store replaces the content of the manager's store by the sockets and counters of the server.
// store comes before the server reads, so that the stored counters have all counts.
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
	state.Close()
	return err
}

// reloading reports the beginning of a reload. readyAgain or standsBy reports the end.
func (v *service) reloading() { v.logError("a reload", v.unit.Reloading()) }

// ready reports that the service is ready, after store has returned the error stored. After a
// timeout ready calls store again.
func (v *service) ready(s *server, stored error) {
	if errors.Is(stored, os.ErrDeadlineExceeded) {
		stored = v.store(s, storePatience)
	}
	v.stores = v.owns || v.unit.Managed() && stored == nil
	if stored != nil {
		event := v.log.Error().Err(stored)
		if full := (*systemd.FullError)(nil); errors.As(stored, &full) {
			event = event.Str("remedy", full.Hint())
		}
		event.Str("effect", "a restart loses queued datagrams, and counters begin at zero").
			Msg("descriptor store failed")
	}
	v.stored.Close()
	v.readyAgain(s)
}

// readyAgain reports that the service is ready, at the end of a reload too.
func (v *service) readyAgain(s *server) { v.logError("readiness", v.unit.Ready(s.summary())) }

// clearStore lets the manager close the stored sockets, which belong to the active process.
func (v *service) clearStore(
	store func(context.Context, handoff.State) error, patience time.Duration,
) {
	soon, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	v.logError("sockets of the active process", store(soon, handoff.State{}))
	v.stored.Close()
}

// stopping reports the end of the service, whose sockets belong to a process of a different unit.
func (v *service) stopping(reason string) {
	v.logError("stopping", v.unit.Stopping(reason))
	v.clearStore(v.unit.StoreAndWait, storePatience)
}

// standsBy reports that the service is ready as a standby.
func (v *service) standsBy(process string) {
	v.clearStore(v.unit.Store, storeTimeout)
	v.logError("readiness", v.unit.Ready("standing by for "+process))
}

// setMainPID reports the new main process of the service. setMainPID waits for storeTimeout at
// most.
func (v *service) setMainPID(pid int) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		v.logError("the successor", v.unit.MainPID(pid))
	}()
	select {
	case <-sent:
	case <-time.After(storeTimeout):
	}
}

// summary returns the status of a server for the manager.
func (s *server) summary() string {
	shards := 0
	for _, g := range s.listeners {
		shards += len(g.Listener().Shards)
	}
	return fmt.Sprintf("serving %d listeners with %d shards", len(s.listeners), shards)
}

// sameUnit returns whether a process is in the control group of this process, and so of the same
// service.
func sameUnit(pid int) bool {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || pid == 0 {
		return false
	}
	peer, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return err == nil && string(own) == string(peer)
}
