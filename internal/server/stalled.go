package server

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// stalledPredecessor are the counters of a process that was replaced while it lived. What
// it has read is in flight until it wakes up and delivers that, or ends; then
// the rest is lost.
type stalledPredecessor struct {
	counters    *metrics.SharedCounters
	inheritance *metrics.Inheritance
	epoch       uint64 // that it had
	written     map[string]lastWrite
	log         zerolog.Logger

	stop  chan struct{}
	done  chan struct{}
	ended sync.Once
}

// lastWrite is what a write that the process had not counted had brought to its
// file when it was replaced. Later nobody can tell: the file grows.
type lastWrite struct {
	write   metrics.Write
	records int
}

// findLastWrites looks at the files of a process that does not run.
func findLastWrites(book *metrics.SharedCounters) map[string]lastWrite {
	soon, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	found := make(map[string]lastWrite)
	for _, w := range book.LastWrites() {
		if n, err := file.CountRecords(soon, w); err == nil {
			found[w.Path] = lastWrite{w, n}
		}
	}
	return found
}

// syncInterval is how often to look what has become of it.
const syncInterval = 100 * time.Millisecond

// watchStalled adds what it counts to this process's counters. It takes the book
// over.
func (s *server) watchStalled(from *predecessor, epoch uint64, written map[string]lastWrite) *stalledPredecessor {
	r := &stalledPredecessor{counters: from.counters, inheritance: from.inheritance, epoch: epoch, written: written, log: s.log.With().EmbedObject(from.logFields()).Logger(),
		stop: make(chan struct{}), done: make(chan struct{})}
	from.counters = nil
	go r.watch()
	return r
}

func (r *stalledPredecessor) watch() {
	defer close(r.done)
	defer r.counters.Close()
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.inheritance.Sync()
			if claim, err := takeover.AcquireLease(r.counters.Control(), r.epoch); err == nil {
				r.finalize("the process that was replaced has ended")
				claim.Release()
				return
			}
		case <-r.stop:
			r.finalize("the process that was replaced is waited for no longer")
			return
		}
	}
}

func (r *stalledPredecessor) finalize(why string) {
	settlement, _ := r.inheritance.Finalize(func(w metrics.Write) (int, error) { // it returns the errors of this alone
		if was, ok := r.written[w.Path]; ok && was.write == w {
			return was.records, nil
		}
		return 0, nil
	})
	event := r.log.Info()
	if settlement.Lost > 0 {
		event = r.log.Warn()
	}
	event.Uint64("lost_in_crash", settlement.Lost).Msg(why)
}

// stopWatching counts as lost what it still has.
func (r *stalledPredecessor) stopWatching() {
	if r != nil {
		r.ended.Do(func() { close(r.stop) })
		<-r.done
	}
}
