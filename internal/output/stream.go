package output

import (
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

const (
	// flushSize is the size in bytes at which a buffer goes to the writer. The hand-over costs some
	// 50 µs, including idle threads that look for work: little for two thousand records.
	flushSize = 512 << 10
	// buffers of a stream that waits: one to fill, one in the write, and one for a short delay
	// of either. The kernel's receive queue covers longer delays.
	buffers = 3
	// lossyBuffers of a lossy stream are the whole queue. A shard that records 25 MB/s bridges
	// some 150 ms with them.
	lossyBuffers = 8
	// keepAliveInterval is how often a shard that waits for its output renews its heartbeat:
	// several times in the shortest time after which a standby takes a shard for stalled.
	keepAliveInterval = 10 * time.Millisecond
)

// buffer has whole records of one shard.
type buffer struct {
	stream  *stream
	data    []byte
	records int
	limit   int // size at which Commit calls Flush

	queued bool // waits for the writer, so the stream may add records; guarded by writer.mu
}

func (b *buffer) reset() { b.data, b.records = b.data[:0], 0 }

// stream is the packet.Sink of one shard, and passes the shard's buffers to a writer.
type stream struct {
	writer    *writer
	counters  *metrics.Shard
	lossy     bool
	filled    *buffer      // for the next record; nil: not chosen yet
	free      chan *buffer // back from the writer
	spare     []*buffer    // taken from free
	last      *buffer      // went to the writer last
	scratch   *buffer      // for a record that is lost
	keepAlive *time.Ticker

	dropped atomic.Uint64 // records that the lossy stream dropped: a part of counters.OutputLost
	behind  atomic.Bool   // the lossy stream has dropped records, and passed no buffer since
}

func (w *writer) newStream(counters *metrics.Shard, maxRecord int, lossy bool) *stream {
	count := buffers
	if lossy {
		count = lossyBuffers
	}
	s := &stream{
		writer: w, counters: counters, lossy: lossy, free: make(chan *buffer, count), keepAlive: time.NewTicker(keepAliveInterval),
	}
	s.keepAlive.Stop()
	s.scratch = &buffer{stream: s, data: make([]byte, 0, maxRecord)}
	for range count {
		s.spare = append(s.spare, &buffer{stream: s, data: make([]byte, 0, flushSize+maxRecord), limit: flushSize})
	}
	if lossy {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.lossy == nil {
			go w.reportDrops()
		}
		w.lossy = append(w.lossy, s)
	}
	return s
}

// Buffer implements packet.Sink. A stream that is not lossy waits for an empty buffer.
func (s *stream) Buffer() []byte {
	if s.filled == nil {
		s.filled = s.nextBuffer()
	}
	return s.filled.data
}

// nextBuffer returns the buffer that came back last: while the writer keeps up, a stream uses few
// buffers, and their memory stays in the CPU's cache.
func (s *stream) nextBuffer() *buffer {
	for range len(s.free) {
		s.spare = append(s.spare, <-s.free)
	}
	if last := len(s.spare) - 1; last >= 0 {
		b := s.spare[last]
		s.spare = s.spare[:last]
		return b
	}
	if s.lossy {
		return s.scratch
	}
	return s.waitForBuffer()
}

// waitForBuffer waits until the writer returns a buffer, or records are given up.
func (s *stream) waitForBuffer() *buffer {
	s.counters.BeginOutputWait()
	defer s.counters.EndOutputWait()
	s.keepAlive.Reset(keepAliveInterval)
	defer s.keepAlive.Stop()
	for {
		select {
		case b := <-s.free:
			return b
		case <-s.writer.set.abort:
			return s.scratch
		case <-s.writer.done:
			return s.scratch
		case <-s.keepAlive.C:
			s.counters.KeepAlive()
		}
	}
}

// Commit implements packet.Sink.
func (s *stream) Commit(buf []byte) {
	s.filled.data = buf
	s.filled.records++
	if len(buf) >= s.filled.limit {
		s.Flush()
	}
}

// Flush implements packet.Sink. Flush does not wait.
func (s *stream) Flush() {
	b := s.filled
	switch {
	case b == nil || b.records == 0:
	case b != s.scratch:
		s.filled = s.writer.enqueue(b)
		s.behind.Store(false)
	case s.lossy:
		s.drop(b)
	default:
		s.writer.lose(b)
		b.reset()
		s.filled = nil
	}
}
