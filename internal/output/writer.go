package output

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

const (
	firstRetryDelay = 100 * time.Millisecond
	maxRetryDelay   = time.Second // the longest time from the end of an outage to the first record
	remindInterval  = time.Minute // between two events of one outage
)

// Destination is standard output, a file, or a series of a spool: file.File documents the methods.
type Destination interface {
	NeedsReopen() bool
	Begin(shard *metrics.Shard, length, records int)
	Write(data []byte) (int, error)
	End(n int)
	Abandon()
	Reopen() (cut int, err error)
	Close() error
}

// RoomMaker is a Destination that shares its room with other destinations. Full receives a value when
// one of these has no room. MakeRoom then gives room back between two writes, on the goroutine of the
// writer.
type RoomMaker interface {
	Full() <-chan struct{}
	MakeRoom()
}

// writer writes the buffers of all streams to one destination, in the order of their arrival.
type writer struct {
	set      *Set
	name     string
	dest     Destination
	ready    chan struct{}    // the queue has a buffer
	dropping chan struct{}    // a lossy stream drops records
	reopen   chan func(error) // answers the latest call of Reopen
	full     <-chan struct{}  // of a RoomMaker; nil: the destination is none
	done     chan struct{}    // closed at the end of run

	keepsOpen bool // Reopen leaves the destination alone

	mu      sync.Mutex
	queue   []*buffer
	current *buffer   // in the write
	lossy   []*stream // for reportDrops

	lost        atomic.Bool      // records were given up
	dead        atomic.Bool      // no retry can help
	failing     time.Time        // begin of the outage; zero: none
	told        time.Time        // the latest event of the outage
	retryReopen <-chan time.Time // nil: the last reopen succeeded

	rotation  *rotation  // nil: the destination is not rotated
	archiving *archiving // nil: there is nothing to do with closed files
}

// start starts the writer of a destination that is not rotated. The caller holds s.mu.
func (s *Set) start(name string, d Destination) *writer {
	w := s.newWriter(name, d)
	go w.run()
	return w
}

// newWriter returns the writer of a destination. The caller holds s.mu, and starts run.
func (s *Set) newWriter(name string, d Destination) *writer {
	w := &writer{
		set:      s,
		name:     name,
		dest:     d,
		ready:    make(chan struct{}, 1),
		dropping: make(chan struct{}, 1),
		reopen:   make(chan func(error), 1),
		done:     make(chan struct{}),
	}
	if shares, ok := d.(RoomMaker); ok {
		w.full = shares.Full()
	}
	s.writers[name] = w
	return w
}

// run writes until the set is closed, and then the rest of the queue.
func (w *writer) run() {
	defer close(w.done)
	r := w.rotation.orNever()
	defer r.stop()
	for {
		select {
		case <-w.ready:
			w.writeNext()
			w.rotation.await()
		case <-r.active:
			r.activate()
			w.reopenReplaced()
			w.rotation.await()
		case <-r.standby.C:
			w.reopenReplaced()
		case <-r.old.C:
			w.rotateOld()
		case answer := <-w.reopen:
			w.tryReopen(answer)
		case <-w.retryReopen:
			w.tryReopen(nil)
		case <-w.full:
			w.dest.(RoomMaker).MakeRoom()
		case <-w.set.closed:
			for w.writeNext() {
			}
			if err := w.dest.Close(); err != nil {
				w.reportFailure(err)
			}
			return
		}
	}
}

// enqueue adds a buffer to the queue, and returns nil. Where a lossy stream has a buffer in the
// queue, with room, enqueue adds the records to that buffer, so that the queue holds as much
// however often the stream is flushed. After Close or Abort the records are lost. In both cases
// enqueue returns the buffer, empty.
func (w *writer) enqueue(b *buffer) *buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := b.stream.last
	switch {
	case w.set.stopped.Load():
		w.lose(b)
	case b.stream.lossy && last != nil && last.queued && len(last.data)+len(b.data) <= flushSize:
		last.data = append(last.data, b.data...)
		last.records += b.records
	default:
		b.queued, b.stream.last = true, b
		w.queue = append(w.queue, b)
		w.wake()
		return nil
	}
	b.reset()
	return b
}

// wake makes run look at the queue.
func (w *writer) wake() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

// dequeue returns the first buffer of the queue, or nil.
func (w *writer) dequeue() *buffer {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	b := w.queue[0]
	w.queue = slices.Delete(w.queue, 0, 1)
	if len(w.queue) > 0 {
		w.wake()
	}
	b.queued, w.current = false, b
	return b
}

// writeNext writes the first buffer of the queue, returns the buffer to its stream, and reports
// whether there was a buffer.
func (w *writer) writeNext() bool {
	b := w.dequeue()
	if b == nil {
		return false
	}
	w.write(b)
	w.mu.Lock()
	w.current = nil
	w.mu.Unlock()
	b.reset()
	b.stream.free <- b
	return true
}

// write retries until the buffer is written or given up.
func (w *writer) write(b *buffer) {
	delay := firstRetryDelay
	for at := 0; at < len(b.data); {
		select {
		case <-w.set.abort:
			w.giveUp(false)
			return
		default:
		}
		n, cut, err := w.tryWrite(b, at)
		at = max(0, at-cut) + n
		if err == nil {
			if n > 0 {
				w.reportRecovery()
			}
			continue
		}
		w.reportFailure(err)
		if w.dead.Load() {
			w.giveUp(false)
			return
		}
		select {
		case <-time.After(delay):
			delay = min(2*delay, maxRetryDelay)
		case answer := <-w.reopen:
			at = max(0, at-w.tryReopen(answer))
		case <-w.set.abort:
		}
	}
}

// tryWrite writes b.data[at:] once, and counts the n bytes written. Where the destination has to be
// reopened, tryWrite does only that, and returns the length of an incomplete record to write again.
// After a rotation, tryWrite has written nothing.
func (w *writer) tryWrite(b *buffer, at int) (n, cut int, err error) {
	if w.dest.NeedsReopen() {
		cut, err = w.dest.Reopen()
		return 0, cut, err
	}
	if w.rotateIfDue() {
		return 0, 0, nil
	}
	w.mu.Lock()
	w.dest.Begin(b.stream.counters, len(b.data)-at, b.records)
	w.mu.Unlock()
	n, err = w.dest.Write(b.data[at:])
	w.mu.Lock()
	defer w.mu.Unlock()
	records := b.records // none if the buffer was given up meanwhile
	if at+n < len(b.data) {
		records = min(records, completed(w.dest, b.data[at:at+n]))
	}
	b.records -= records
	b.stream.counters.Delivered.Add(uint64(records))
	w.dest.End(n)
	return n, 0, err
}

// completed returns how many records the bytes of a write have completed.
func completed(d Destination, written []byte) int {
	if f, ok := d.(*file.File); ok {
		return f.Completed(written)
	}
	return bytes.Count(written, []byte{'\n'})
}

// giveUp counts the records of the current buffer as lost, though its write may never return.
// With queued, so are the records of the queue.
func (w *writer) giveUp(queued bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.current != nil {
		w.lose(w.current)
		w.dest.Abandon()
	}
	if queued {
		for _, b := range w.queue {
			w.lose(b)
		}
		w.queue = nil
	}
}

// lose counts the records of a buffer as lost.
func (w *writer) lose(b *buffer) {
	b.stream.counters.OutputLost.Add(uint64(b.records))
	b.records = 0
	w.lost.Store(true)
}

func (w *writer) reportRecovery() {
	if w.failing.IsZero() {
		return
	}
	w.set.report(Event{Destination: w.name, Failing: time.Since(w.failing)})
	w.failing, w.told = time.Time{}, time.Time{}
}

// reportFailure reports the first failure of an outage, and then one a minute.
func (w *writer) reportFailure(err error) {
	if errors.Is(err, unix.EPIPE) {
		if w.dead.Swap(true) {
			return // Broken has the error already
		}
		select {
		case w.set.broken <- fmt.Errorf("output %s: %w: no reader", w.name, err):
		default:
		}
		return
	}
	now := time.Now()
	if w.failing.IsZero() {
		w.failing = now
	}
	if now.Sub(w.told) >= remindInterval {
		w.told = now
		w.set.report(Event{Destination: w.name, Err: err, Failing: now.Sub(w.failing)})
	}
}
