package output

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

const (
	retryFirst = 100 * time.Millisecond // soon enough for a hiccup
	retryMost  = time.Second            // an outage is over at the latest this long after it ended
	remind     = time.Minute            // between two events of one outage
)

// destination is standard output or an open file. One goroutine calls the methods, apart from
// Abandon. Begin, End and Abandon exclude each other: the caller holds a mutex.
type destination interface {
	// NeedsReopen reports whether the next write needs a Reopen first.
	NeedsReopen() bool
	// Begin logs a write of length bytes, with records of a shard, before the write is made.
	Begin(shard *metrics.Shard, length, records int)
	Write(data []byte) (int, error)
	// End logs that the records in the last n bytes are counted. A negative n logs that so many
	// bytes were cut.
	End(n int)
	// Abandon logs that the records of the write that has begun are counted as lost.
	Abandon()
	// Reopen opens the path again. It cuts an incomplete record off the end of the previous
	// file, and returns the length of that record, which has to be written again. After an
	// error the previous file stays in use.
	Reopen() (cut int, err error)
	// Close cuts an incomplete record off the end, and closes the file.
	Close() error
}

func open(name string, shard *metrics.Shard) (destination, error) {
	if name == "stdout" {
		return stdout{}, nil
	}
	return file.Open(name, shard)
}

// writer owns one destination and is its only writer: buffers are written
// one after the other, each whole.
type writer struct {
	name   string
	dest   destination
	report func(Event)
	broken chan<- error
	abort  <-chan struct{}
	closed <-chan struct{}
	full   chan *buffer
	reopen chan *reopening
	done   chan struct{}

	dropping chan struct{} // tells watch that records are dropped

	mu      sync.Mutex
	current *buffer     // that is being written
	lost    atomic.Bool // records were given up
	lossy   []*lossy    // streams that do not wait

	failing time.Time        // zero: it works
	told    time.Time        // when the outage was last reported
	dead    atomic.Bool      // no retry helps
	again   <-chan time.Time // when to try a reopen again that failed; nil: none did
}

func newWriter(s *Set, name string, d destination) *writer {
	return &writer{
		name:   name,
		dest:   d,
		report: s.report,
		broken: s.broken,
		abort:  s.abort,
		closed: s.closed,
		full:   make(chan *buffer, 1024), // all that 341 shards have, or 128 that do not wait: no hand-over waits for another
		reopen: make(chan *reopening, 1),
		done:   make(chan struct{}),

		dropping: make(chan struct{}, 1),
	}
}

// run writes until the set is closed, and then what has been handed over.
func (w *writer) run() {
	defer close(w.done)
	for {
		select {
		case b := <-w.full:
			w.pass(b)
		case r := <-w.reopen:
			w.renew(r)
		case <-w.again:
			w.renew(nil)
		case <-w.closed:
			for b := w.next(); b != nil; b = w.next() {
				w.pass(b)
			}
			if err := w.dest.Close(); err != nil {
				w.failed(err)
			}
			return
		}
	}
}

// next returns a buffer that was handed over, nil if there is none.
func (w *writer) next() *buffer {
	select {
	case b := <-w.full:
		return b
	default:
		return nil
	}
}

// pass writes a buffer, and returns it to its stream.
func (w *writer) pass(b *buffer) {
	b.open(false)
	w.hold(b)
	w.write(b)
	w.hold(nil)
	b.reset()
	b.home.free <- b
}

// write gets a buffer written, however long it takes, unless it is given up.
func (w *writer) write(b *buffer) {
	wait := retryFirst
	for at := 0; at < len(b.data); {
		select {
		case <-w.abort:
			w.giveUp()
			return
		default:
		}
		n, back, err := w.attempt(b, at)
		at = max(0, at-back) + n
		if err == nil {
			if n > 0 {
				w.works()
			}
			continue
		}
		w.failed(err)
		if w.dead.Load() {
			w.giveUp()
			return
		}
		select {
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		case r := <-w.reopen:
			at = max(0, at-w.renew(r))
		case <-w.abort:
		}
	}
}

// attempt writes what is left of a buffer, once, or opens a new file where the
// old one has lost its name. Then it writes nothing, and tells how many bytes
// to go back.
func (w *writer) attempt(b *buffer, at int) (n, back int, err error) {
	if w.dest.NeedsReopen() {
		back, err = w.openAgain()
		return 0, back, err
	}
	w.begin(b, at)
	n, err = w.dest.Write(b.data[at:])
	w.account(b, at, n)
	return n, 0, err
}

// begin logs a write before it is made. If the process dies before account
// has counted it, Recover does.
func (w *writer) begin(b *buffer, at int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dest.Begin(b.home.page, len(b.data)-at, b.records)
}

func (w *writer) openAgain() (back int, err error) {
	if back, err = w.dest.Reopen(); back > 0 {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.dest.End(-back)
	}
	return back, err
}

// account counts the records that end in the n bytes just written at at.
func (w *writer) account(b *buffer, at, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	records := b.records
	if at+n < len(b.data) {
		records = min(bytes.Count(b.data[at:at+n], []byte{'\n'}), records) // none is left of a buffer that was given up meanwhile
	}
	b.records -= records
	b.home.page.Delivered.Add(uint64(records))
	w.dest.End(n)
}

func (w *writer) hold(b *buffer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = b
}

// giveUp counts as lost what is left of the buffer that is being written, by
// a write that may never return.
func (w *writer) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.current; b != nil {
		b.home.page.OutputLost.Add(uint64(b.records))
		b.records = 0
		w.lost.Store(true)
		w.dest.Abandon()
	}
}

func (w *writer) works() {
	if w.failing.IsZero() {
		return
	}
	w.report(Event{Destination: w.name, Failing: time.Since(w.failing)})
	w.failing, w.told = time.Time{}, time.Time{}
}

// failed reports the first failure of an outage, and then one a minute.
func (w *writer) failed(err error) {
	if errors.Is(err, unix.EPIPE) {
		if w.dead.Swap(true) {
			return // Broken has told
		}
		select {
		case w.broken <- fmt.Errorf("output %s: %w: nobody reads it any more", w.name, err):
		default:
		}
		return
	}
	now := time.Now()
	if w.failing.IsZero() {
		w.failing = now
	}
	if now.Sub(w.told) >= remind {
		w.told = now
		w.report(Event{Destination: w.name, Err: err, Failing: now.Sub(w.failing)})
	}
}

// wait says whether the writer has ended before ctx has.
func (w *writer) wait(ctx context.Context) bool {
	select {
	case <-w.done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-w.done: // both: it was in time
		return true
	default:
		return false
	}
}
