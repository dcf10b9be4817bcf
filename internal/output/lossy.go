package output

import (
	"sync/atomic"
	"time"
)

// lossyBuffers is how many a stream has that does not wait: they are all the
// queue there is. A shard that records 25 MB/s bridges some 150 ms with them.
const lossyBuffers = 8

// lossy is a stream that never waits. While its buffers are all on their way it
// drops records, and counts them as lost.
type lossy struct {
	*stream
	spare   []*buffer     // that came back, and wait to be used again
	last    *buffer       // that was handed over last; nil: none was
	scratch []byte        // where records go that are dropped
	dropped atomic.Uint64 // records, beside the page's count, which has those that were given up too
	behind  atomic.Bool   // it has dropped some, and handed nothing over since
}

func newLossy(s *stream, maxRecord int) *lossy {
	return &lossy{stream: s, spare: make([]*buffer, 0, lossyBuffers), scratch: make([]byte, 0, maxRecord)}
}

// Buffer implements packet.Sink.
func (s *lossy) Buffer() []byte {
	if s.filled == nil && !s.take() {
		return s.scratch
	}
	return s.filled.data
}

// take takes the buffer that came back last, if there is one: while the writer
// keeps up, the same few are used, and the others' memory is not.
func (s *lossy) take() bool {
	for more := true; more; {
		select {
		case b := <-s.free:
			s.spare = append(s.spare, b)
		default:
			more = false
		}
	}
	last := len(s.spare) - 1
	if last < 0 {
		return false
	}
	s.filled, s.spare = s.spare[last], s.spare[:last]
	return true
}

// Commit implements packet.Sink.
func (s *lossy) Commit(buf []byte) {
	if s.filled == nil {
		s.scratch = buf[:0]
		s.drop(1)
		return
	}
	s.filled.data = buf
	s.filled.records++
	if len(buf) >= flushSize {
		s.Flush()
	}
}

// Flush implements packet.Sink. While the writer is behind it adds to what waits
// there, so that the queue holds as much, whatever the number of flushes. Where the
// writer's queue is full, what it would hand over is dropped: a buffer that is kept
// might be kept for ever.
func (s *lossy) Flush() {
	if s.filled == nil || s.filled.records == 0 {
		return
	}
	if s.writer.givenUp() {
		s.filled.lose()
		return
	}
	if s.last.add(s.filled) {
		s.filled.reset()
		return
	}
	s.filled.open(true)
	select {
	case s.writer.full <- s.filled:
		s.last, s.filled = s.filled, nil
		if s.behind.Load() {
			s.behind.Store(false)
		}
	default:
		s.filled.open(false)
		s.drop(s.filled.records)
		s.filled.reset()
	}
}

func (s *lossy) drop(records int) {
	s.page.OutputLost.Add(uint64(records))
	s.dropped.Add(uint64(records))
	s.behind.Store(true)
	select {
	case s.writer.dropping <- struct{}{}:
	default: // its watch knows already
	}
}

const (
	// lookEvery is how often an outage is looked at.
	lookEvery = time.Second
	// settled is how long nothing must have been dropped for an outage to be
	// over: one that comes and goes is one.
	settled = 5 * time.Second
)

// watch reports outages in which streams drop records, until closing: the
// beginning at once, one event a minute, and the end. It is no part of run,
// which may be held in a write.
func (w *writer) watch(closing <-chan struct{}) {
	look := time.NewTicker(lookEvery)
	look.Stop()
	for before := uint64(0); ; {
		select {
		case <-w.dropping:
		case <-closing:
			return
		}
		seen, _ := w.drops()
		if seen == before { // reported with the last outage
			continue
		}
		began := time.Now()
		last, told := began, began
		w.report(Event{Destination: w.name, Dropping: true, Dropped: seen - before})
		look.Reset(lookEvery)
		for now := began; now.Sub(last) < settled; {
			select {
			case now = <-look.C:
			case <-closing:
				return
			}
			sum, behind := w.drops()
			if sum != seen || behind {
				seen, last = sum, now
			}
			if now.Sub(told) >= remind {
				told = now
				w.report(Event{Destination: w.name, Dropping: true, Dropped: seen - before, Failing: now.Sub(began)})
			}
		}
		look.Stop()
		w.report(Event{Destination: w.name, Dropped: seen - before, Failing: last.Sub(began)})
		before = seen
	}
}

// drops adds up what streams have dropped, and says whether one has no buffer
// yet to take up again with.
func (w *writer) drops() (sum uint64, behind bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.lossy {
		sum += s.dropped.Load()
		behind = behind || s.behind.Load() && len(s.free) == 0
	}
	return sum, behind
}
