package output

import (
	"sync/atomic"
	"time"
)

// reopening is one call of Reopen, until all writers have answered.
type reopening struct {
	done                    func(opened, failed int)
	waiting, opened, failed atomic.Int32 // writers
}

// Reopen has every writer reopen its file before the next write, for programs that rotate
// files. Reopen does not wait for the writers. When all files have been tried, done is called
// once, on any goroutine, with the number of files that were opened and the number that failed. A
// file that failed is retried, and an Event reports the failure. done is not called if there is
// no file, if Reopen is called again before, or if a write does not return. done may be nil.
func (s *Set) Reopen(done func(opened, failed int)) {
	r := &reopening{done: done}
	r.waiting.Store(1)
	s.each(func(w *writer) {
		if w.name == "stdout" {
			return
		}
		r.waiting.Add(1)
		select {
		case <-w.reopen: // of an earlier call
		default:
		}
		w.reopen <- r
	})
	r.answer()
}

// answer counts one answer, and reports after the last.
func (r *reopening) answer() {
	if r.waiting.Add(-1) > 0 || r.done == nil {
		return
	}
	if opened, failed := int(r.opened.Load()), int(r.failed.Load()); opened+failed > 0 {
		r.done(opened, failed)
	}
}

// tryReopen reopens the destination. r is the Reopen that asked, or nil for a retry. tryReopen
// returns the length of an incomplete record in the previous file, which has to be written again.
func (w *writer) tryReopen(r *reopening) (cut int) {
	cut, err := w.reopenDestination()
	if retried := w.retryReopen != nil; (err != nil) != retried {
		w.set.report(Event{Destination: w.name, Err: err, Reopen: true})
	}
	w.retryReopen = nil
	if err != nil {
		w.retryReopen = time.After(maxRetryDelay)
	}
	switch {
	case r == nil:
		return cut
	case err == nil:
		r.opened.Add(1)
	default:
		r.failed.Add(1)
	}
	r.answer()
	return cut
}
