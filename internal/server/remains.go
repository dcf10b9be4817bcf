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

// remains are the counters of a process that was replaced while it lived. What
// it has read is in flight until it wakes up and delivers that, or ends; then
// the rest is lost.
type remains struct {
	book    *metrics.SharedCounters
	estate  *metrics.Inheritance
	epoch   uint64 // that it had
	written map[string]lastWrite
	log     zerolog.Logger

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

// writtenTo looks at the files of a process that does not run.
func writtenTo(book *metrics.SharedCounters) map[string]lastWrite {
	soon, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	found := make(map[string]lastWrite)
	for _, w := range book.LastWrites() {
		if n, err := file.Written(soon, w); err == nil {
			found[w.Path] = lastWrite{w, n}
		}
	}
	return found
}

// followEvery is how often to look what has become of it.
const followEvery = 100 * time.Millisecond

// follow adds what it counts to this process's counters. It takes the book
// over.
func (s *server) follow(from *legacy, epoch uint64, written map[string]lastWrite) *remains {
	r := &remains{book: from.book, estate: from.estate, epoch: epoch, written: written, log: s.log.With().EmbedObject(from.who()).Logger(),
		stop: make(chan struct{}), done: make(chan struct{})}
	from.book = nil
	go r.run()
	return r
}

func (r *remains) run() {
	defer close(r.done)
	defer r.book.Close()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.estate.Sync()
			if claim, err := takeover.AcquireLease(r.book.Control(), r.epoch); err == nil {
				r.settle("the process that was replaced has ended")
				claim.Release()
				return
			}
		case <-r.stop:
			r.settle("the process that was replaced is waited for no longer")
			return
		}
	}
}

func (r *remains) settle(why string) {
	settlement, _ := r.estate.Finalize(func(w metrics.Write) (int, error) { // it returns the errors of this alone
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

// end counts as lost what it still has.
func (r *remains) end() {
	if r != nil {
		r.ended.Do(func() { close(r.stop) })
		<-r.done
	}
}
