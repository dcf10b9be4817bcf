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

// Socket is what a shard's reading asks of the engine.
type Socket interface {
	// Memory returns the bytes that wait in the receive queue, the bytes
	// that may, and the drops so far in a counter of 32 bits that wraps.
	Memory() (queued, buffer, dropped uint32, err error)
	// Cookie returns the socket's number, which no other one has until the
	// next boot (SO_COOKIE), 0 if it is not known.
	Cookie() uint64
	// CPUTime returns what the shard's thread has used.
	CPUTime() (time.Duration, error)
}

// Shard is the page of one shard. Make it with NewShard, or Book.Shard.
type Shard struct {
	*Counters
	Index int
	CPU   int // the one that its thread is pinned to

	book   *SharedCounters // nil: it is in memory of this process alone
	number int             // of its page in the book
	_      [cacheLine - 5*8]byte

	mu     sync.Mutex
	socket Socket
	queued uint32
	buffer uint32
	before uint64 // nanoseconds of CPU that threads before this one have used

	// To 256 bytes, a size class of Go's allocator that keeps its alignment:
	// what Read writes is on another line than what the thread reads.
	_ [cacheLine - 5*8]byte
}

// NewShard returns a page in memory that ends with the process.
func NewShard(index, cpu int) *Shard { return &Shard{Counters: new(Counters), Index: index, CPU: cpu} }

// Attach names the socket that Read asks. A page has one in its life.
func (s *Shard) Attach(socket Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = socket
	s.cookie.Store(socket.Cookie())
}

// filterable is a Socket that can have a socket filter attached.
type filterable interface {
	// Filtered says whether one is attached, by whichever process.
	Filtered() bool
}

// filtered says whether a socket filter is attached to the shard's socket.
func (s *Shard) filtered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	socket, ok := s.socket.(filterable)
	return ok && socket.Filtered()
}

// KernelDrops returns the datagrams that the kernel has dropped at the shard's socket since the
// socket was made, as last seen by Read or Glance. Any goroutine may call it.
func (s *Shard) KernelDrops() uint64 { return s.kernel.Load() }

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

// StartThread is Start for a thread that has used CPU time before, which does not count.
func (s *Shard) StartThread(thread int, used time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = s.used.Load() - uint64(used) // may wrap: ask adds more than that
	s.thread.Store(int64(thread))
}

// EndThread says that the thread ends, in order: nobody is to take it for stuck. It
// calls it itself, while its CPU time can be asked; another one may start.
func (s *Shard) EndThread() {
	s.beat.Store(0)
	s.SuspendThread()
}

// SuspendThread is End for a thread that ends so that another process can read from its socket. The
// last Beat stays: until the other process reads, some goroutine has to call Beat, or standbys
// take the shard for stalled. The shard's thread calls Suspend.
func (s *Shard) SuspendThread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
	s.thread.Store(0) // the number is another thread's soon
}

// Heartbeat records that the shard is at its socket, or soon will be. The shard's thread calls it
// once a batch. While the shard has no thread, any goroutine may call it.
func (s *Shard) Heartbeat(now time.Time) { s.beat.Store(clock(now)) }

// LastHeartbeat returns when the shard's thread last showed that it runs, in a clock
// that all processes of the host share: it came back to its socket, or it
// waits for its output and says so. It is 0 while there is no thread.
func (s *Shard) LastHeartbeat() int64 {
	held := s.heldSince.Load() // or releasing, which is less than any beat
	if beat := s.beat.Load(); beat != 0 {
		return max(beat, held)
	}
	return 0
}

// away returns how long the shard has not been at its socket, and whether it has a
// thread that has been there.
func (s *Shard) away(now time.Time) (away time.Duration, started bool) {
	beat := s.beat.Load()
	return time.Duration(clock(now) - beat), beat != 0 && s.thread.Load() != 0
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
		s.used.Store(max(s.used.Load(), s.before+uint64(used)))
	}
}

func (s *Shard) askMemory() {
	if s.socket == nil {
		return
	}
	if queued, buffer, dropped, err := s.socket.Memory(); err == nil {
		s.saw(dropped)
		s.queued, s.buffer = queued, buffer
	}
}
