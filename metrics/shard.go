package metrics

import (
	"sync"
	"time"
)

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

// Sample is what steering wants to know of a shard, many times a second.
type Sample struct {
	Received       uint64
	Dropped        uint64 // by the kernel
	Queued         uint64 // bytes
	Buffer         uint64 // bytes
	SinceHeartbeat time.Duration
	OutputWait     time.Duration
}

// Sample asks the socket for less than Read does.
func (s *Shard) Sample(now time.Time) Sample {
	s.mu.Lock()
	s.askMemory()
	g := Sample{Dropped: s.kernel.Load(), Queued: uint64(s.queued), Buffer: uint64(s.buffer)}
	s.mu.Unlock()
	g.Received = s.Received.Load()
	if away, started := s.away(now); started {
		g.SinceHeartbeat = away
	}
	g.OutputWait, _ = s.OutputWait(now)
	return g
}

// BeginOutputWait says that the shard begins to wait for its output; Release that it
// goes on. Called by the shard's thread, only where it can't go on at once.
func (s *Shard) BeginOutputWait() { s.heldSince.Store(clock(time.Now())) }

// EndOutputWait ends what Hold began.
func (s *Shard) EndOutputWait() {
	since := s.heldSince.Swap(releasing)
	s.held.Add(clock(time.Now()) - since)
	s.heldSince.Store(0)
}

// KeepAlive says that it still waits. Whoever waits for long calls it now and
// then, and is not taken for one that has stopped: see Pulse.
func (s *Shard) KeepAlive() {
	since, now := s.heldSince.Swap(releasing), clock(time.Now())
	s.held.Add(now - since)
	s.heldSince.Store(now)
}

// releasing stands in heldSince while a wait is added to those before.
const releasing = -1

// heldTries is how many times Held reads while the shard is adding a wait. The shard needs a few
// instructions for that, unless the kernel takes the CPU from its thread in between.
const heldTries = 1000

// OutputWait returns how long the shard has waited for its output in total, and whether it waits now.
// If the shard's thread does not run while it adds a wait, that wait is missing in the total.
func (s *Shard) OutputWait(now time.Time) (total time.Duration, holding bool) {
	for range heldTries {
		since := s.heldSince.Load()
		total = time.Duration(s.held.Load())
		if since == releasing || s.heldSince.Load() != since {
			continue
		}
		if since != 0 {
			total += max(0, time.Duration(clock(now)-since))
		}
		return total, since != 0
	}
	return total, true
}
