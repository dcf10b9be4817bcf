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

// Reopen makes every file be opened anew before the next write, for programs
// that rotate them. done is called once, by any goroutine, when all files have been
// tried: with how many were opened, and how many were not and are tried again (an Event
// has told of each). Where there is no file, it is not called; nor if Reopen is called
// again meanwhile, or a write does not return. It may be nil.
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

// renew opens the destination anew where it has a name, for a Reopen or for none. It
// returns how many bytes of the record that was being written must be written again, so
// that it is whole in the new one.
func (w *writer) renew(asked *reopening) int {
	back, err := w.target.reopen(w.torn)
	if failed := w.again != nil; (err != nil) != failed {
		w.report(Event{Destination: w.name, Err: err, Reopen: true})
	}
	w.again = nil
	if err != nil {
		w.again = time.After(retryMost)
	}
	w.wentBack(back)
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
