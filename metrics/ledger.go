package metrics

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Roles of a process, as in the status.
const (
	Active   = "active"
	Standby  = "standby" // holds the sockets of an active one, and waits
	Draining = "draining"
)

// Ledger is all that a process counts: listeners, in the order in which they
// were added, and their shards. Its methods may be called by any goroutine.
type Ledger struct {
	Version string
	Started time.Time
	// PIDNamespace is the inode of /proc/self/ns/pid, which tells this process from
	// one with the same PID in another container; 0: unknown.
	PIDNamespace uint64

	mu        sync.Mutex
	role      string
	listeners []*Listener
	lineage   func() uint64
	standbys  func() []StandbyStatus // nil: there can be none
	takeovers *Takeovers
}

// NewLedger returns an empty ledger of a process that is active.
func NewLedger(version string) *Ledger {
	own := newLineage()
	return &Ledger{Version: version, Started: time.Now(), role: Active, lineage: func() uint64 { return own }, takeovers: new(Takeovers)}
}

// SetSharedCounters says which book the shards' counters are in: their identity is its
// Lineage. The book has to stay open for as long as Status is called.
func (l *Ledger) SetSharedCounters(b *SharedCounters) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lineage = b.ID
}

// SetStandbys sets what Standbys asks. It may be called by any goroutine.
func (l *Ledger) SetStandbys(list func() []StandbyStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.standbys = list
}

// Standbys returns the processes that stand by for this one and can take over now.
// The list is never nil.
func (l *Ledger) Standbys() []StandbyStatus {
	l.mu.Lock()
	list := l.standbys
	l.mu.Unlock()
	standbys := []StandbyStatus{}
	if list != nil {
		standbys = append(standbys, list()...)
	}
	return standbys
}

// CountersID identifies the counters: an upgrade, a standby that takes over, and a
// restart for which systemd keeps them go on with the same ones. A restart that
// begins with new counters has another ID.
func (l *Ledger) CountersID() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%016x", l.lineage())
}

// Add puts a listener on the books.
func (l *Ledger) Add(listener *Listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listeners = append(l.listeners, listener)
}

// Listeners returns those added so far.
func (l *Ledger) Listeners() []*Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listeners[:len(l.listeners):len(l.listeners)]
}

// Role returns one of the roles.
func (l *Ledger) Role() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.role
}

// SetRole sets what Role returns.
func (l *Ledger) SetRole(role string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.role = role
}

// SetTakeovers says where takeovers are counted, if that is in memory that outlives the
// process.
func (l *Ledger) SetTakeovers(t *Takeovers) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.takeovers = t
}

// Takeovers returns where takeovers are counted.
func (l *Ledger) Takeovers() *Takeovers {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.takeovers
}

// stalledAfter is how long a shard may be away from its socket before it no
// longer counts as reading, whether anything waits or not. An idle one comes
// back every 250 ms, a busy one every batch: four misses are no jitter. One
// that steering calls stalled has datagrams that wait, and counts sooner.
const stalledAfter = time.Second

// FilterReason is the end of a line of NotReady about a shard whose socket has a filter.
const FilterReason = "a socket filter that drops datagrams"

// NotReady says what keeps the process from being ready, a line each: none
// while it is active and every shard reads.
func (l *Ledger) NotReady(now time.Time) []string {
	var why []string
	if role := l.Role(); role != Active {
		why = append(why, role)
	}
	for _, listener := range l.Listeners() {
		stalled := listener.Steering().StalledShards
		for _, s := range listener.Shards {
			if s.filtered() {
				why = append(why, fmt.Sprintf("listener %s shard %d has %s", listener.Name, s.Index, FilterReason))
			}
			switch away, started := s.away(now); {
			case !started:
				why = append(why, fmt.Sprintf("listener %s shard %d does not read", listener.Name, s.Index))
			case away > stalledAfter || slices.Contains(stalled, s.Index):
				text := fmt.Sprintf("listener %s shard %d has not read for %s", listener.Name, s.Index, away.Round(100*time.Millisecond))
				if _, holding := s.OutputWait(now); holding {
					text += ": its output takes nothing"
				}
				why = append(why, text)
			}
		}
	}
	return why
}

// StalledShard is a shard that shows no sign of life.
type StalledShard struct {
	Listener string // name
	Shard    *Shard
	For      time.Duration // since the last sign of life
}

// Stalled returns the shards whose last sign of life (Shard.Pulse) is older than limit. A shard
// that waits for its output shows signs of life. A shard without a thread is not stalled. Any
// goroutine may call Stalled.
func (l *Ledger) Stalled(now time.Time, limit time.Duration) (stalled []StalledShard) {
	for _, listener := range l.Listeners() {
		for _, s := range listener.Shards {
			if pulse := s.LastHeartbeat(); pulse != 0 && time.Duration(clock(now)-pulse) > limit {
				stalled = append(stalled, StalledShard{listener.Name, s, time.Duration(clock(now) - pulse)})
			}
		}
	}
	return stalled
}

// Listener is one address and its shards. Its fields are set before it is
// added to a Ledger.
type Listener struct {
	Name     string
	Address  string
	Protocol string
	Shards   []*Shard

	steered steered
}

// Read takes a reading of every shard.
func (l *Listener) Read() []Reading {
	readings := make([]Reading, len(l.Shards))
	for i, s := range l.Shards {
		readings[i] = s.Read()
	}
	return readings
}
