// Package output takes records to where they are kept.
//
// A shard appends records to a buffer of its own Stream. Full buffers travel
// to the one writer of their destination and come back empty; a shard whose
// buffers are all on their way waits for one. So a slow destination slows
// its shards down and the kernel's receive queues fill, where losses are
// counted; nothing is thrown away here. A destination that fails is tried
// again until it works, with the buffer that it failed on. Records count as
// delivered when the destination has taken them.
//
// Streams of OpenLossy do not wait: while their buffers are all on their way
// they drop records, count them as lost, and take up again with the first
// buffer that comes back. They are for shards whose records are a by-product.
package output

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// Event tells that a destination has begun to fail, fails still, or works
// again (Err nil); or, where Dropped is not 0, that streams that do not wait
// have begun to drop records, drop them still, or no longer do.
type Event struct {
	Destination string
	Err         error
	Reopen      bool          // it works, but can't be opened anew: what was open stays in use
	Dropping    bool          // records are dropped, since it takes them too slowly or not at all
	Dropped     uint64        // records, since that began
	Failing     time.Duration // since its first failure, or the first record that was dropped
}

// Set is a process's destinations, each opened once however many listeners
// and shards write to it.
type Set struct {
	report func(Event)
	broken chan error
	abort  chan struct{} // closed when buffers are given up
	closed chan struct{} // closed by Close

	mu      sync.Mutex
	writers map[string]*writer
	aborted sync.Once
}

// NewSet returns an empty set. Several goroutines may call report at a time.
func NewSet(report func(Event)) *Set {
	return &Set{
		report:  report,
		broken:  make(chan error, 1),
		abort:   make(chan struct{}),
		closed:  make(chan struct{}),
		writers: make(map[string]*writer),
	}
}

// PerShard stands for the shard's number in an output's path: each shard then
// has an output of its own.
const PerShard = "{shard}"

// Check says whether spec names an output, and opens nothing: stdout,
// discard, or file:PATH, where {shard} in PATH stands for the shard's number.
func Check(spec string) error {
	_, err := destinationName(spec, 0)
	return err
}

// destinationName returns discard, stdout, or the path of a shard's file.
func destinationName(spec string, shard int) (string, error) {
	switch path, isFile := strings.CutPrefix(spec, "file:"); {
	case spec == "discard", spec == "stdout":
		return spec, nil
	case isFile && path == "":
		return "", errors.New("file: needs a path: file:/var/log/udpshard.log")
	case isFile && strings.Contains(strings.ReplaceAll(path, PerShard, ""), "{"):
		return "", fmt.Errorf("%q: only {shard} can stand in braces", path)
	case isFile:
		return filepath.Abs(strings.ReplaceAll(path, PerShard, strconv.Itoa(shard)))
	}
	return "", fmt.Errorf("%q is no output: use stdout, discard or file:PATH", spec)
}

// Probe returns the error with which Open would fail for a shard, and opens and makes nothing.
// Any goroutine may call it.
func Probe(spec string, shard int) error {
	name, err := destinationName(spec, shard)
	if err != nil || name == "discard" || name == "stdout" {
		return err
	}
	if err := file.Probe(name); err != nil {
		return fmt.Errorf("output %s: %w", spec, err)
	}
	return nil
}

// Open returns the stream of one shard's records to spec, and opens the
// destination if nobody has. maxRecord is the longest record, in bytes, that
// fits without an allocation. page is where the shard's records are counted;
// where it is in shared counters (metrics.SharedCounters), a file's writes are noted there for Recover.
func (s *Set) Open(spec string, shard int, page *metrics.Shard, maxRecord int) (Stream, error) {
	w, err := s.writer(spec, shard, page)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return newDiscard(page, maxRecord), nil
	}
	return newStream(w, page, maxRecord, buffers), nil
}

// OpenLossy is Open for a stream that never waits, and drops records instead:
// they count as lost on the page, and an Event tells of it. Close calls no
// destination late for them.
func (s *Set) OpenLossy(spec string, shard int, page *metrics.Shard, maxRecord int) (Stream, error) {
	w, err := s.writer(spec, shard, page)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return newDiscard(page, maxRecord), nil
	}
	stream := newLossy(newStream(w, page, maxRecord, lossyBuffers), maxRecord)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lossy == nil {
		go w.watch(s.closed)
	}
	w.lossy = append(w.lossy, stream)
	return stream, nil
}

// writer returns the one of a destination, and opens that if nobody has; nil is
// the one of discard.
func (s *Set) writer(spec string, shard int, page *metrics.Shard) (*writer, error) {
	name, err := destinationName(spec, shard)
	if err != nil || name == "discard" {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writers[name]
	if w == nil {
		dest, err := open(name, page)
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", spec, err)
		}
		w = newWriter(s, name, dest)
		s.writers[name] = w
		go w.run()
	}
	return w, nil
}

// Broken receives the error of a destination that no retry can mend, as
// standard output without a reader. Records for it are lost from then on, and
// counted as that.
func (s *Set) Broken() <-chan error { return s.broken }

// Close writes what streams have handed over, and closes the destinations.
// A stream that a shard uses after Close loses its records: a shard that hangs may wake up
// then. When ctx is done first, what is left is given up,
// counted as lost, and the error says so.
func (s *Set) Close(ctx context.Context) error {
	close(s.closed)
	inTime := true
	s.each(func(w *writer) { inTime = inTime && w.wait(ctx) })
	if !inTime {
		s.Abort()
		const last = 100 * time.Millisecond // for writers that wait to try again
		patience, cancel := context.WithTimeout(context.Background(), last)
		defer cancel()
		s.each(func(w *writer) {
			if !w.wait(patience) {
				w.giveUp()
				for b := w.next(); b != nil; b = w.next() {
					b.lose()
				}
			}
		})
	}
	var late []string
	s.each(func(w *writer) {
		if w.lost.Load() && !w.dead.Load() { // of a dead one Broken has told
			late = append(late, w.name)
		}
	})
	if late == nil {
		return nil
	}
	slices.Sort(late)
	return fmt.Errorf("could not write everything in time to %s", strings.Join(late, ", "))
}

// Abort gives up all records that are not written, now and from now on, so
// that no shard waits for an output any more.
func (s *Set) Abort() { s.aborted.Do(func() { close(s.abort) }) }

func (s *Set) each(f func(*writer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writers {
		f(w)
	}
}
