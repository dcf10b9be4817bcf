package output

import (
	"sync"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// Stream takes one shard's records, on the shard's thread alone. It is a
// packet.Sink.
type Stream interface {
	Buffer() []byte
	Commit(buf []byte)
	Flush()
}

const (
	// flushSize is when a buffer is handed over: large enough that what the
	// hand-over costs (some 50 µs, with threads that look for more to do)
	// is little beside two thousand records.
	flushSize = 512 << 10
	// buffers is how many a shard has that waits: one that it fills, one that is
	// written, and one so that neither waits for a passing hiccup of the
	// other. What a longer one needs is the kernel's queue.
	buffers = 3
)

// buffer is a run of whole records of one shard.
type buffer struct {
	data    []byte
	records int
	home    *stream

	mu      sync.Mutex
	waiting bool // for the writer, and may be added to meanwhile
}

// open says whether a buffer may be added to from now on.
func (b *buffer) open(waiting bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting = waiting
}

// add adds what another one has, if this one is open and has room for it.
func (b *buffer) add(more *buffer) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.waiting || len(b.data)+len(more.data) > flushSize {
		return false
	}
	b.data = append(b.data, more.data...)
	b.records += more.records
	return true
}

// stream hands buffers to a writer and gets them back.
type stream struct {
	writer *writer
	page   *metrics.Shard
	free   chan *buffer
	filled *buffer // nil: none taken yet
	alive  *time.Timer
}

func newStream(w *writer, page *metrics.Shard, maxRecord, buffers int) *stream {
	s := &stream{writer: w, page: page, free: make(chan *buffer, buffers), alive: time.NewTimer(aliveEvery)}
	s.alive.Stop()
	for range buffers {
		s.free <- &buffer{data: make([]byte, 0, flushSize+maxRecord), home: s}
	}
	return s
}

// Buffer implements packet.Sink. It waits for the writer to return a buffer.
func (s *stream) Buffer() []byte {
	if s.filled == nil {
		select {
		case s.filled = <-s.free:
		default:
			s.await()
		}
	}
	return s.filled.data
}

// await waits until the writer returns a buffer, or is told to give up.
func (s *stream) await() {
	s.hold(func(alive <-chan time.Time) (done bool) {
		select {
		case s.filled = <-s.free:
		case <-s.writer.abort:
			s.filled = &buffer{home: s} // once: given up, it does not travel
		case <-s.writer.done:
			s.filled = &buffer{home: s}
		case <-alive:
			return false
		}
		return true
	})
}

// aliveEvery is how often a shard that waits for its output says that it does:
// several times in the shortest time after which a standby takes one for stuck.
const aliveEvery = 10 * time.Millisecond

// hold waits until wait says that it is done.
func (s *stream) hold(wait func(alive <-chan time.Time) (done bool)) {
	s.page.BeginOutputWait()
	defer s.page.EndOutputWait()
	s.alive.Reset(aliveEvery)
	defer s.alive.Stop()
	for !wait(s.alive.C) {
		s.page.KeepAlive()
		s.alive.Reset(aliveEvery)
	}
}

// Commit implements packet.Sink.
func (s *stream) Commit(buf []byte) {
	s.filled.data = buf
	s.filled.records++
	if len(buf) >= flushSize {
		s.Flush()
	}
}

// Flush implements packet.Sink. It waits while the writer's queue is full.
func (s *stream) Flush() {
	if s.filled == nil || s.filled.records == 0 {
		return
	}
	if s.writer.givenUp() {
		s.filled.lose()
		return
	}
	select {
	case s.writer.full <- s.filled:
		s.filled = nil
		return
	default:
	}
	s.hold(func(alive <-chan time.Time) (done bool) {
		select {
		case s.writer.full <- s.filled:
			s.filled = nil
		case <-s.writer.abort:
			s.filled.lose()
		case <-s.writer.closed:
			s.filled.lose()
		case <-alive:
			return false
		}
		return true
	})
}

// givenUp says whether nothing is taken any more.
func (w *writer) givenUp() bool {
	select {
	case <-w.abort:
	case <-w.closed:
	default:
		return false
	}
	return true
}

// lose counts the records as lost, and empties the buffer.
func (b *buffer) lose() {
	b.home.page.OutputLost.Add(uint64(b.records))
	b.home.writer.lost.Store(true)
	b.reset()
}

func (b *buffer) reset() { b.data, b.records = b.data[:0], 0 }

// discard delivers records nowhere.
type discard struct {
	page    *metrics.Shard
	buf     []byte
	records int
}

func newDiscard(page *metrics.Shard, maxRecord int) *discard {
	return &discard{page: page, buf: make([]byte, 0, flushSize+maxRecord)}
}

func (d *discard) Buffer() []byte { return d.buf }

func (d *discard) Commit(buf []byte) {
	d.buf = buf
	d.records++
	if len(buf) >= flushSize {
		d.Flush()
	}
}

func (d *discard) Flush() {
	d.page.Delivered.Add(uint64(d.records))
	d.buf, d.records = d.buf[:0], 0
}
