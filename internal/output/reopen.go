package output

import (
	"sync"
	"time"
)

// reopening is one call of Reopen, until every writer has answered it.
type reopening struct {
	done func(opened, failed int)

	mu             sync.Mutex
	waiting        int // writers that have not answered
	opened, failed int
}

// Reopen has every writer reopen its file before the next write, for programs that rotate
// files. It does not wait for that. When all files have been tried, done is called once, on
// any goroutine, with the number of files that were opened and the number that failed. A file
// that failed is retried, and an Event reports it. done is not called if there is no file, if
// Reopen is called again before, or if a write does not return. done may be nil.
func (s *Set) Reopen(done func(opened, failed int)) {
	r := &reopening{done: done, waiting: 1}
	s.each(func(w *writer) {
		if w.name == "stdout" {
			return
		}
		r.mu.Lock()
		r.waiting++
		r.mu.Unlock()
		select {
		case <-w.reopen: // of a call before
		default:
		}
		w.reopen <- r
	})
	r.answer(func() {})
}

// answer counts the answer of one writer.
func (r *reopening) answer(count func()) {
	r.mu.Lock()
	count()
	r.waiting--
	last := r.waiting == 0
	r.mu.Unlock()
	if last && r.done != nil && r.opened+r.failed > 0 {
		r.done(r.opened, r.failed)
	}
}

// renew reopens the destination if it has a name. asked is the Reopen that asked for it, or nil.
// renew returns the number of bytes of an incomplete record to write again, so that the record
// is whole in the new file.
func (w *writer) renew(asked *reopening) int {
	back, err := w.openAgain()
	if failed := w.again != nil; (err != nil) != failed {
		w.report(Event{Destination: w.name, Err: err, Reopen: true})
	}
	w.again = nil
	if err != nil {
		w.again = time.After(retryMost)
	}
	if asked != nil {
		asked.answer(func() {
			if err == nil {
				asked.opened++
			} else {
				asked.failed++
			}
		})
	}
	return back
}
