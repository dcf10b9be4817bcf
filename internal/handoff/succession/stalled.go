package succession

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// stalledPredecessor is a live process that was replaced. Datagrams that were read by that process
// are in flight until the process wakes up and delivers them. When the process ends, the rest is
// lost.
type stalledPredecessor struct {
	counters    *metrics.SharedCounters
	inheritance *metrics.Inheritance
	epoch       uint64 // of the counters, when the process was their owner
	written     map[string]lastWrite
	log         zerolog.Logger

	stop  chan struct{}
	done  chan struct{}
	ended sync.Once
}

// lastWrite is how many records of an uncounted write are in the file. The number is determined
// when the process is replaced: afterwards the file grows.
type lastWrite struct {
	write   metrics.Write
	records int
}

// findLastWrites reads the output files of a stalled process. The keys of the map are paths.
func findLastWrites(counters *metrics.SharedCounters) map[string]lastWrite {
	soon, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	found := make(map[string]lastWrite)
	for _, w := range counters.LastWrites() {
		if n, err := file.CountRecords(soon, w); err == nil {
			found[w.Path] = lastWrite{w, n}
		}
	}
	return found
}

// syncInterval is the time between two readings of the counters of a stalled process.
const syncInterval = 100 * time.Millisecond

// watchStalled adds the counts of a stalled process to the counters of this process, until the
// stalled process ends. watchStalled becomes the owner of p.Counters.
func (s *Succession) watchStalled(p *Predecessor, epoch uint64, written map[string]lastWrite) {
	s.stalled = &stalledPredecessor{counters: p.Counters, inheritance: p.inheritance, epoch: epoch,
		written: written, log: s.log.With().EmbedObject(p.LogFields()).Logger(),
		stop: make(chan struct{}), done: make(chan struct{})}
	p.Counters = nil
	go s.stalled.watch()
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
			if lease, err := takeover.AcquireLease(r.counters.Control(), r.epoch); err == nil {
				r.finalize("replaced process ended")
				lease.Release()
				return
			}
		case <-r.stop:
			r.finalize("replaced process no longer watched")
			return
		}
	}
}

func (r *stalledPredecessor) finalize(message string) {
	// Finalize returns the errors of the function argument alone.
	final, _ := r.inheritance.Finalize(func(w metrics.Write) (int, error) {
		if last, ok := r.written[w.Path]; ok && last.write == w {
			return last.records, nil
		}
		return 0, nil
	})
	event := r.log.Info()
	if final.Lost > 0 {
		event = r.log.Warn()
	}
	event.Uint64("lost_in_crash", final.Lost).Msg(message)
}

// stopWatching counts as lost the datagrams that the process has not delivered. stopWatching may be
// called more than once, also for a nil stalledPredecessor.
func (r *stalledPredecessor) stopWatching() {
	if r != nil {
		r.ended.Do(func() { close(r.stop) })
		<-r.done
	}
}
