package metrics

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Roles of a process in the status.
const (
	Active   = "active"
	Standby  = "standby" // holds the sockets of an active process, and waits
	Draining = "draining"
)

// Ledger is all counters of a process: listeners, in the order of Add, and their shards. Any
// goroutine may call the methods.
type Ledger struct {
	Version  string
	Revision string // of the source code; set before the first use of the ledger
	Started  time.Time

	process  ProcessStatus
	role     atomic.Value // string
	config   atomic.Pointer[ConfigStatus]
	standbys atomic.Pointer[func() []StandbyStatus]
	shared   atomic.Pointer[SharedCounters]

	id        uint64    // without shared counters
	takeovers Takeovers // without shared counters

	mu        sync.Mutex
	listeners []*Listener
}

// NewLedger returns an empty ledger of an active process.
func NewLedger(version string) *Ledger {
	l := &Ledger{Version: version, Started: time.Now(), process: ThisProcess(), id: newID()}
	l.SetRole(Active)
	l.SetConfig(ConfigStatus{}.After(nil, l.Started))
	return l
}

// SetSharedCounters sets the shared counters that have the shards and the takeovers of the ledger.
// Keep them open for as long as the ledger is in use.
func (l *Ledger) SetSharedCounters(sc *SharedCounters) { l.shared.Store(sc) }

// SetStandbys sets the function that returns the standbys: the processes that can take over now.
// Any goroutine may call the function.
func (l *Ledger) SetStandbys(list func() []StandbyStatus) { l.standbys.Store(&list) }

// CountersID identifies the counters. The counters and the ID go on after an upgrade, a takeover by
// a standby, and a restart for which systemd keeps the counters. A restart with new counters has
// another ID.
func (l *Ledger) CountersID() string {
	id := l.id
	if sc := l.shared.Load(); sc != nil {
		id = sc.ID()
	}
	return fmt.Sprintf("%016x", id)
}

// countersSince returns when the counters began at 0.
func (l *Ledger) countersSince() time.Time {
	if sc := l.shared.Load(); sc != nil {
		return sc.Began()
	}
	return l.Started
}

// Takeovers returns the takeovers that led to this process.
func (l *Ledger) Takeovers() *Takeovers {
	if sc := l.shared.Load(); sc != nil {
		return sc.Takeovers()
	}
	return &l.takeovers
}

// Add adds a listener.
func (l *Ledger) Add(listener *Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners = append(l.listeners, listener)
}

// Listeners returns the listeners that are added so far.
func (l *Ledger) Listeners() []*Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clip(l.listeners)
}

// Role returns the role of the process.
func (l *Ledger) Role() string { return l.role.Load().(string) }

// SetRole sets the role of the process.
func (l *Ledger) SetRole(role string) { l.role.Store(role) }

// Config returns the result of the last reload. A start counts as a successful reload.
func (l *Ledger) Config() ConfigStatus { return *l.config.Load() }

// SetConfig sets the result of Config.
func (l *Ledger) SetConfig(c ConfigStatus) { l.config.Store(&c) }

// Standbys returns the processes that can take over now; nil: none.
func (l *Ledger) Standbys() []StandbyStatus {
	if list := l.standbys.Load(); list != nil {
		return (*list)()
	}
	return nil
}

// stalledAfter is how long a shard may be away from its socket and count as reading. An idle shard
// comes back every 250 ms, a busy one every batch: four misses are not jitter. A shard that
// steering regards as stalled has datagrams in its queue, and does not count as reading.
const stalledAfter = time.Second

// FilterReason is the end of a line of NotReady about a shard whose socket has a filter.
const FilterReason = "a socket filter that drops datagrams"

// NotReady returns a line for each reason why the process is not ready. The process is ready while
// it is active and every shard reads.
func (l *Ledger) NotReady(now time.Time) (reasons []string) {
	if role := l.Role(); role != Active {
		reasons = append(reasons, role)
	}
	for _, listener := range l.Listeners() {
		stalled := listener.Steering().StalledShards
		for _, s := range listener.Shards {
			add := func(format string, args ...any) {
				reasons = append(reasons, fmt.Sprintf("listener %s shard %d ", listener.Name, s.Index)+
					fmt.Sprintf(format, args...))
			}
			if s.filtered() {
				add("has " + FilterReason)
			}
			switch away, started := s.sinceHeartbeat(now); {
			case !started:
				add("does not read")
			case away > stalledAfter || slices.Contains(stalled, s.Index):
				away = away.Round(100 * time.Millisecond)
				if _, waiting := s.OutputWait(now); waiting {
					add("has not read for %s: its output accepts no records", away)
				} else {
					add("has not read for %s", away)
				}
			}
		}
	}
	return reasons
}

// StalledShard is a shard that shows no sign of life.
type StalledShard struct {
	Listener string // name
	Shard    *Shard
	For      time.Duration // since the last heartbeat
}

// Stalled returns the shards whose LastHeartbeat is older than limit. A shard that waits for its
// output and calls KeepAlive is not stalled, nor is a shard without a thread.
func (l *Ledger) Stalled(now time.Time, limit time.Duration) (stalled []StalledShard) {
	for _, listener := range l.Listeners() {
		for _, s := range listener.Shards {
			last := s.LastHeartbeat()
			if silent := time.Duration(clock(now) - last); last != 0 && silent > limit {
				stalled = append(stalled, StalledShard{listener.Name, s, silent})
			}
		}
	}
	return stalled
}

// Listener is one address and its shards. Set the fields before Ledger.Add.
type Listener struct {
	Name     string
	Address  string
	Protocol string
	Shards   []*Shard

	ReceiveBuffer int // that each socket asks for, in bytes

	// Outputs returns the ledgers of the targets; nil: the listener has none. Any goroutine may
	// call Outputs.
	Outputs func() []Output
	// FailedZones returns the zones that failed to load; nil: the listener has no zones. Any
	// goroutine may call FailedZones.
	FailedZones func() []FailedZone

	mu       sync.Mutex
	steering Steering
	refused  []RefusedSender
}

// Read reads every shard.
func (l *Listener) Read() []Reading {
	readings := make([]Reading, len(l.Shards))
	for i, s := range l.Shards {
		readings[i] = s.Read()
	}
	return readings
}
