// Package output delivers records to standard output and to files.
//
// Each shard appends records to a buffer of a stream of its own. Full buffers go to the queue of
// the destination's writer, a goroutine, and come back empty. A shard without an empty buffer
// waits: a slow destination slows its shards, the kernel's receive queues fill, and losses are
// counted there. A failed write is retried until the destination accepts the records. Records
// count as delivered when the destination has them.
//
// Streams of OpenLossy never wait. Without an empty buffer they drop records and count them as
// lost. They are for shards whose records are a by-product, as those of DNS.
//
// Streams implement packet.Sink. A library user can bring another implementation.
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
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// Event reports that a destination begins to fail, still fails, or has recovered (Err nil). With
// Dropped above 0, Event reports that lossy streams begin to drop records, still drop, or have
// stopped.
type Event struct {
	Destination string
	Err         error
	Reopen      bool          // of a failed reopen (the previous file stays in use), or of its retry
	Dropping    bool          // lossy streams drop records
	Dropped     uint64        // records dropped since the outage began
	Failing     time.Duration // since the first failure, or since the first dropped record

	Task Task   // a rotation, or a task of closed files; "": none of them
	File string // path of the file of Task: the new name of a rotated file, or a closed file
}

// Set has the destinations of a process. Each is opened once, for all listeners and shards.
type Set struct {
	report func(Event)
	broken chan error
	abort  chan struct{} // closed by Abort
	closed chan struct{} // closed by Close
	active chan struct{} // closed by Activate

	stopped   atomic.Bool // by Abort or Close: streams lose their records
	aborted   sync.Once
	activated sync.Once
	compress  chan struct{} // full while a goroutine compresses a file

	mu        sync.Mutex
	writers   map[string]*writer  // by destination
	rotations map[string]Rotation // by destination
	streams   map[string]bool     // files with frames of dnstap
}

// NewSet returns an empty set. Several goroutines may call report at a time.
func NewSet(report func(Event)) *Set {
	return &Set{
		report:    report,
		broken:    make(chan error, 1),
		abort:     make(chan struct{}),
		closed:    make(chan struct{}),
		active:    make(chan struct{}),
		compress:  make(chan struct{}, 1),
		writers:   make(map[string]*writer),
		rotations: make(map[string]Rotation),
		streams:   make(map[string]bool),
	}
}

// PerShard in an output's path stands for the shard's number: each shard then has a file of its
// own.
const PerShard = "{shard}"

// Names are the outputs that are no files.
var Names = []string{"stdout", "discard"}

// FilePrefix is before the path of an output file.
const FilePrefix = "file:"

// Check returns an error if spec is no output, and opens nothing. Outputs are stdout, discard and
// file:PATH, with PerShard anywhere in PATH.
func Check(spec string) error {
	_, err := destinationName(spec, 0)
	return err
}

// destinationName returns discard, stdout, or the path of a shard's file.
func destinationName(spec string, shard int) (string, error) {
	switch path, isFile := strings.CutPrefix(spec, FilePrefix); {
	case slices.Contains(Names, spec):
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

// Path returns the absolute path of a shard's file, and false for outputs that are no files.
func Path(spec string, shard int) (path string, isFile bool) {
	name, err := destinationName(spec, shard)
	return name, err == nil && name != "discard" && name != "stdout"
}

// Probe returns the error with which Open would fail for a shard, and opens and makes nothing.
// Any goroutine may call Probe.
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

// Open returns a stream of one shard's records to the output spec, and opens the destination if
// necessary. A record of up to maxRecord bytes fits without an allocation. The stream counts its
// records in counters. Shared counters (metrics.SharedCounters) also have the write log of a file,
// for file.Recover.
func (s *Set) Open(spec string, shard int, counters *metrics.Shard, maxRecord int) (packet.Sink, error) {
	return s.open(spec, shard, counters, maxRecord, false)
}

// OpenLossy is Open for a stream that drops records where a stream of Open would wait. Dropped
// records count as lost and an Event reports them; Close does not.
func (s *Set) OpenLossy(spec string, shard int, counters *metrics.Shard, maxRecord int) (packet.Sink, error) {
	return s.open(spec, shard, counters, maxRecord, true)
}

func (s *Set) open(spec string, shard int, counters *metrics.Shard, maxRecord int, lossy bool) (packet.Sink, error) {
	name, err := destinationName(spec, shard)
	if err != nil {
		return nil, err
	}
	if name == "discard" {
		return newDiscard(counters, maxRecord), nil
	}
	w, err := s.writer(name, counters)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", spec, err)
	}
	return w.newStream(counters, maxRecord, lossy), nil
}

// SetDnstap makes the file of an output and a shard a stream of dnstap messages, before Open. The
// records are frames then, instead of lines.
func (s *Set) SetDnstap(spec string, shard int) {
	if name, isFile := Path(spec, shard); isFile {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.streams[name] = true
	}
}

// OpenDestination is Open for a destination of another package. The first call for a name opens the
// destination; Reopen leaves the destination alone.
func (s *Set) OpenDestination(
	name string, d func() Destination, counters *metrics.Shard, maxRecord int, lossy bool,
) packet.Sink {
	s.mu.Lock()
	w := s.writers[name]
	if w == nil {
		w = s.start(name, d())
		w.keepsOpen = true
	}
	s.mu.Unlock()
	return w.newStream(counters, maxRecord, lossy)
}

// writer returns the writer of a destination, and opens the destination if there is none.
func (s *Set) writer(name string, counters *metrics.Shard) (*writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.writers[name]
	switch {
	case w != nil:
		return w, nil
	case name == "stdout":
		return s.start(name, stdout{}), nil
	}
	open := file.Open
	if s.streams[name] {
		open = file.OpenStream
	}
	f, err := open(name, counters)
	if err != nil {
		return nil, err
	}
	w = s.newWriter(name, f)
	if r := s.rotations[name]; r.Enabled() {
		w.setRotation(f, r)
	}
	go w.run()
	return w, nil
}

// Broken receives the error of a destination for which retries are useless: standard output without
// a reader. Its further records count as lost.
func (s *Set) Broken() <-chan error { return s.broken }

// Close writes the queued records, and closes the destinations. Records that a stream gets after
// Close are lost: a shard that hangs may resume late. When ctx ends first, Close counts the
// remaining records as lost, and returns an error with the destinations.
func (s *Set) Close(ctx context.Context) error {
	s.stopped.Store(true)
	close(s.closed)
	s.each(func(w *writer) {
		select {
		case <-w.done:
		case <-ctx.Done():
			s.Abort()
		}
	})
	const grace = 100 * time.Millisecond // for writers between two attempts
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var late []string
	s.each(func(w *writer) {
		select {
		case <-w.done:
		case <-ctx.Done():
			w.giveUp(true)
		}
		if w.lost.Load() && !w.dead.Load() { // Broken has the error of a dead destination
			late = append(late, w.name)
		}
	})
	s.each(func(w *writer) { w.archiving.wait(ctx) })
	if late == nil {
		return nil
	}
	slices.Sort(late)
	return fmt.Errorf("could not write everything in time to %s", strings.Join(late, ", "))
}

// Abort counts all records that are not written as lost, now and from now on, so that no shard
// waits for an output.
func (s *Set) Abort() {
	s.stopped.Store(true)
	s.aborted.Do(func() { close(s.abort) })
}

func (s *Set) each(f func(*writer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.writers {
		f(w)
	}
}
