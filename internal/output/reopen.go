package output

import (
	"sync"
	"time"
)

// Reopen has every writer reopen its file before the next write, for programs that rotate
// files. Reopen does not wait for the writers. When all files have been tried, done is called
// once, on any goroutine, with the number of files that were opened and the number that failed. A
// file that failed is retried, and an Event reports the failure. done is not called if there is
// no file, if Reopen is called again before, or if a write does not return. done may be nil.
func (s *Set) Reopen(done func(opened, failed int)) {
	var waiting, opened, failed int
	var mu sync.Mutex
	answer := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			opened++
		} else {
			failed++
		}
		if waiting--; waiting == 0 && done != nil {
			done(opened, failed)
		}
	}
	mu.Lock() // answers wait until all writers have been asked
	defer mu.Unlock()
	s.each(func(w *writer) {
		if w.name == "stdout" || w.keepsOpen {
			return
		}
		waiting++
		select {
		case <-w.reopen: // of an earlier call
		default:
		}
		w.reopen <- answer
	})
}

// tryReopen reopens the destination, for a Reopen that waits for the answer, or for a retry (nil).
// tryReopen returns the length of an incomplete record, which has to be written again.
func (w *writer) tryReopen(answer func(error)) (cut int) {
	cut, err := w.dest.Reopen()
	if retried := w.retryReopen != nil; (err != nil) != retried {
		w.set.report(Event{Destination: w.name, Err: err, Reopen: true})
	}
	w.retryReopen = nil
	if err != nil {
		w.retryReopen = time.After(maxRetryDelay)
	}
	if answer != nil {
		answer(err)
	}
	return cut
}
