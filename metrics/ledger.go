package metrics

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Roles of a process, as in the status.
const (
	Active   = "active"
	Draining = "draining"
)

// Ledger is all that a process counts: listeners, in the order in which they
// were added, and their shards. Its methods may be called by any goroutine.
type Ledger struct {
	Version string
	Started time.Time

	mu        sync.Mutex
	role      string
	listeners []*Listener
}

// NewLedger returns an empty ledger of a process that is active.
func NewLedger(version string) *Ledger {
	return &Ledger{Version: version, Started: time.Now(), role: Active}
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

// Role returns Active or Draining.
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

// stalledAfter is how long a shard may be away from its socket before it no
// longer counts as reading, whether anything waits or not. An idle one comes
// back every 250 ms, a busy one every batch: four misses are no jitter. One
// that steering calls stalled has datagrams that wait, and counts sooner.
const stalledAfter = time.Second

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
			switch away, started := s.away(now); {
			case !started:
				why = append(why, fmt.Sprintf("listener %s shard %d has not started", listener.Name, s.Index))
			case away > stalledAfter || slices.Contains(stalled, s.Index):
				text := fmt.Sprintf("listener %s shard %d has not read for %s", listener.Name, s.Index, away.Round(100*time.Millisecond))
				if _, holding := s.Held(now); holding {
					text += ": its output takes nothing"
				}
				why = append(why, text)
			}
		}
	}
	return why
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

// Socket is what a shard's reading asks of the engine.
type Socket interface {
	// Memory returns the bytes that wait in the receive queue, the bytes
	// that may, and the drops so far in a counter of 32 bits that wraps.
	Memory() (queued, buffer, dropped uint32, err error)
	// CPUTime returns what the shard's thread has used.
	CPUTime() (time.Duration, error)
}

// Shard is the page of one shard.
type Shard struct {
	Counters
	Index int
	CPU   int // the one that its thread is pinned to

	thread atomic.Int64
	beat   atomic.Int64 // nanoseconds since epoch at its last return to the socket; 0: none yet

	held      atomic.Int64 // nanoseconds for which it waited for its output
	heldSince atomic.Int64 // nanoseconds since epoch; 0: it does not wait

	mu      sync.Mutex
	socket  Socket
	dropped uint32 // last seen of the socket's own counter
	queued  uint32
	buffer  uint32
	cpuTime time.Duration

	// To 512 bytes: a size class of Go's allocator that keeps its alignment
	// (a larger object with pointers has a header before it), so that each
	// page begins a cache line and the next page is on another.
	_ [32]byte
}

// Attach names the socket that Read asks.
func (s *Shard) Attach(socket Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = socket
}

// Detach asks the socket a last time, before it is closed.
func (s *Shard) Detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
	s.socket = nil
	s.queued = 0
}

// Thread returns the id of the shard's thread, 0 before it has started.
func (s *Shard) Thread() int { return int(s.thread.Load()) }

// Start tells the id of the shard's thread.
func (s *Shard) Start(thread int) { s.thread.Store(int64(thread)) }

// Beat says that the shard is at its socket. Called by the shard's thread,
// once a batch.
func (s *Shard) Beat(now time.Time) { s.beat.Store(int64(now.Sub(epoch))) }

// epoch is where beats are counted from, on the monotonic clock.
var epoch = time.Now()

// away returns how long the shard has not been at its socket.
func (s *Shard) away(now time.Time) (away time.Duration, started bool) {
	beat := s.beat.Load()
	return now.Sub(epoch) - time.Duration(beat), beat != 0
}

// ask takes the socket's own figures over. The drop counter has 32 bits: it
// may grow by less than 2^32 between two calls, which at ten million drops a
// second leaves seven minutes. An error leaves what was known.
func (s *Shard) ask() {
	s.askMemory()
	if s.socket == nil {
		return
	}
	if used, err := s.socket.CPUTime(); err == nil {
		s.cpuTime = max(s.cpuTime, used)
	}
}

func (s *Shard) askMemory() {
	if s.socket == nil {
		return
	}
	if queued, buffer, dropped, err := s.socket.Memory(); err == nil {
		s.Kernel.Add(uint64(dropped - s.dropped))
		s.queued, s.buffer, s.dropped = queued, buffer, dropped
	}
}
