package metrics

import (
	"sync"
	"time"
)

// Socket is what a Shard reads of a socket and its thread.
type Socket interface {
	// Memory returns the bytes in the receive queue, the size of the receive buffer in bytes, and
	// the drops so far in a counter of 32 bits that wraps.
	Memory() (queued, buffer, dropped uint32, err error)
	// Cookie returns the socket's number, unique until the next boot (SO_COOKIE); 0: unknown.
	Cookie() uint64
	// CPUTime returns the CPU time of the shard's thread.
	CPUTime() (time.Duration, error)
}

// Shard is the counters of one shard, with the socket and the thread that they are about. NewShard
// and SharedCounters.Shard make a Shard.
type Shard struct {
	*Counters
	Index int
	CPU   int // to which the thread is pinned

	shared *SharedCounters // nil: the counters end with the process
	number int             // of the shard in shared
	_      [cacheLine - 5*8]byte

	mu          sync.Mutex
	socket      Socket
	queued      uint32
	buffer      uint32
	previousCPU uint64 // nanoseconds of CPU time of the threads before this one

	// The size is 256 bytes, a size class of Go's allocator that keeps the alignment: fields that
	// Read writes are not on the cache line of fields that the thread reads.
	_ [cacheLine - 5*8]byte
}

// NewShard returns a Shard whose counters end with the process.
func NewShard(index, cpu int) *Shard {
	return &Shard{Counters: new(Counters), Index: index, CPU: cpu}
}

// Fenced returns whether another process has become the owner of the shared counters: then the
// shard's thread must not read any more. The cost is a load of a cache line that is rarely written.
func (s *Shard) Fenced() bool { return s.shared != nil && s.shared.Epoch() != FirstEpoch }

// ReceiverMemory returns the memory for the senders' names of the shard's messages
// (sys.ReceiverOptions), with room for the listener's batch. ReceiverMemory returns nil if the
// shard is not in shared counters, and before Linux 5.1, where other processes can write to them.
// Without this memory, datagrams that the last receive call of a killed process had read are not
// counted.
func (s *Shard) ReceiverMemory() []byte {
	if s.shared == nil || !s.shared.sealed {
		return nil
	}
	return s.shared.receiver(s.number)
}

// Attach sets the socket that Read reads, once.
func (s *Shard) Attach(socket Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = socket
	s.cookie.Store(socket.Cookie())
}

// Detach reads the socket a last time. Call Detach before the socket is closed.
func (s *Shard) Detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readSocket()
	s.dateDrops(time.Now())
	s.socket = nil
	s.queued = 0
}

// filtered returns whether a socket filter is attached to the socket, by any process.
func (s *Shard) filtered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	socket, ok := s.socket.(interface{ Filtered() bool })
	return ok && socket.Filtered()
}

// KernelDrops returns the datagrams that the kernel has dropped at the shard's socket since the
// socket was made, as last read by Read or Sample. Any goroutine may call KernelDrops.
func (s *Shard) KernelDrops() uint64 { return s.kernel.Load() }

// Thread returns the id of the shard's thread, 0 before its start.
func (s *Shard) Thread() int { return int(s.thread.Load()) }

// StartThread sets the id of the shard's thread. CPU time that the thread has used before does not
// count.
func (s *Shard) StartThread(thread int, used time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared != nil {
		s.shared.counting.Store(true)
	}
	s.previousCPU = s.used.Load() - uint64(used) // may wrap: readSocket adds more than used
	s.thread.Store(int64(thread))
}

// EndThread records that the thread ends in order, and so is not stalled. The thread itself calls
// EndThread, so that its CPU time can be read. Another thread may start.
func (s *Shard) EndThread() {
	s.heartbeat.Store(0)
	s.SuspendThread()
}

// SuspendThread is EndThread for a thread that ends so that another process can read from the
// socket. The last heartbeat stays: until the other process reads, some goroutine has to call
// Heartbeat, or standbys regard the shard as stalled.
func (s *Shard) SuspendThread() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readSocket()
	s.thread.Store(0) // the kernel gives the id to another thread
}

// Heartbeat records that the shard is at its socket, or soon will be. The shard's thread calls
// Heartbeat once a batch. While the shard has no thread, any goroutine may.
func (s *Shard) Heartbeat(now time.Time) { s.heartbeat.Store(clock(now)) }

// LastHeartbeat returns when the shard's thread last showed that it runs, in nanoseconds of a clock
// that all processes of the host share: by Heartbeat, or by KeepAlive during an output wait. The
// result is 0 while the shard has no thread.
func (s *Shard) LastHeartbeat() int64 {
	wait := s.outputWaitSince.Load() // or waitEnding, which is less than any heartbeat
	if heartbeat := s.heartbeat.Load(); heartbeat != 0 {
		return max(heartbeat, wait)
	}
	return 0
}

// sinceHeartbeat returns how long the shard has not been at its socket, and whether the shard has a
// thread that has been there.
func (s *Shard) sinceHeartbeat(now time.Time) (away time.Duration, started bool) {
	heartbeat := s.heartbeat.Load()
	return time.Duration(clock(now) - heartbeat), heartbeat != 0 && s.thread.Load() != 0
}

// readSocket reads memory and CPU time. With an error, the last values stay.
func (s *Shard) readSocket() {
	s.readMemory()
	if s.socket == nil {
		return
	}
	if used, err := s.socket.CPUTime(); err == nil {
		s.used.Store(max(s.used.Load(), s.previousCPU+uint64(used)))
	}
}

// readMemory reads the drop counter of 32 bits, which may grow by less than 2^32 between two calls:
// in seven minutes at ten million drops a second.
func (s *Shard) readMemory() {
	if s.socket == nil {
		return
	}
	if queued, buffer, dropped, err := s.socket.Memory(); err == nil {
		if s.shared == nil || s.shared.counting.Load() {
			s.updateKernel(dropped)
		}
		s.queued, s.buffer = queued, buffer
	}
}

// Sample is the part of a reading that steering needs many times a second.
type Sample struct {
	Received       uint64 // by this process
	Dropped        uint64 // by the kernel
	Queued         uint64 // bytes
	Buffer         uint64 // bytes
	SinceHeartbeat time.Duration
	OutputWait     time.Duration // in total
}

// Sample reads less of the socket than Read does.
func (s *Shard) Sample(now time.Time) Sample {
	s.mu.Lock()
	s.readMemory()
	sample := Sample{Dropped: s.kernel.Load(), Queued: uint64(s.queued), Buffer: uint64(s.buffer)}
	s.mu.Unlock()
	sample.Received = s.Received.Load()
	if away, started := s.sinceHeartbeat(now); started {
		sample.SinceHeartbeat = away
	}
	sample.OutputWait, _ = s.OutputWait(now)
	return sample
}

// BeginOutputWait records that the shard waits for its output. The shard's thread calls
// BeginOutputWait, only if the output does not accept a record at once.
func (s *Shard) BeginOutputWait() { s.outputWaitSince.Store(clock(time.Now())) }

// EndOutputWait ends the wait that BeginOutputWait began.
func (s *Shard) EndOutputWait() { s.splitOutputWait(clock(time.Now()), 0) }

// KeepAlive records that the shard still waits: see LastHeartbeat. During a long wait, the shard's
// thread calls KeepAlive from time to time, and so is not regarded as stalled.
func (s *Shard) KeepAlive() {
	now := clock(time.Now())
	s.splitOutputWait(now, now)
}

// splitOutputWait adds the wait until now to the finished waits, and begins the next wait; 0: none.
func (s *Shard) splitOutputWait(now, next int64) {
	since := s.outputWaitSince.Swap(waitEnding)
	s.outputWaited.Add(now - since)
	s.outputWaitSince.Store(next)
}

// waitEnding is in outputWaitSince while a wait is added to the finished ones.
const waitEnding = -1

// outputWaitTries is how many times OutputWait reads while the shard's thread adds a wait. The
// thread needs a few instructions for that, unless the kernel takes the CPU from the thread.
const outputWaitTries = 1000

// OutputWait returns how long the shard has waited for its output in total, and whether the shard
// waits now. If the shard's thread does not run while it adds a wait, the total lacks that wait.
func (s *Shard) OutputWait(now time.Time) (total time.Duration, waiting bool) {
	for range outputWaitTries {
		since := s.outputWaitSince.Load()
		total = time.Duration(s.outputWaited.Load())
		if since == waitEnding || s.outputWaitSince.Load() != since {
			continue
		}
		if since != 0 {
			total += max(0, time.Duration(clock(now)-since))
		}
		return total, since != 0
	}
	return total, true
}
