package http

import (
	"errors"
	"net/http"
	"testing"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A request whose answer did not come is sent again with the same records and the same identity,
// also by another process, although the rest of the batch would be divided in another way.
func TestUnansweredRequest(t *testing.T) {
	const limit = 110 // records of a request
	for _, another := range []bool{false, true} {
		known := make(map[string]bool)
		requests := 0
		s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
			if len(r.lines()) > limit {
				w.WriteHeader(http.StatusRequestEntityTooLarge)
				return
			}
			if key := r.Header.Get("Idempotency-Key"); !known[key] {
				known[key] = true
				s.keep(r)
			}
			// The client itself repeats a request on a connection that was in use before.
			if requests++; requests%4 >= 2 {
				panic(http.ErrAbortHandler) // no answer
			}
		})
		to := open(t, s.URL)
		b := shiptest.Numbered(0, 1000)
		want := texts(b)
		for tries := 0; ; tries++ {
			if tries > 20 {
				t.Fatalf("%d records are not acknowledged", len(b.Records))
			}
			err := to.Send(t.Context(), b)
			if err == nil {
				break
			}
			var e *ship.Error
			if !errors.As(err, &e) || e.Permanent || len(e.Rejected) > 0 {
				t.Fatal(err)
			}
			rest := *b // keeps the note
			rest.First, rest.Records = b.First+uint64(e.Acknowledged), b.Records[e.Acknowledged:]
			b = &rest
			if another {
				to = open(t, s.URL)
			}
		}
		wantKept(t, s, want)
		if b.Note != noteProven {
			t.Errorf("note %q after the acknowledgement", b.Note)
		}
	}
}

// A note that no target of this package has written, or that is about other records, has no effect.
func TestNotesOfOthers(t *testing.T) {
	for _, note := range []string{"x", "accepted x", "accepted 1-0 0", "accepted 1-0 5 10",
		"accepted 2-0 0 10", "accepted 1-0 0 1000", "accepted 1-0 0 -1", "accepted 1-0 -5 1"} {
		s := newStore(t, nil)
		b := shiptest.Numbered(0, 100)
		b.Note = note
		if e := send(t, open(t, s.URL), b); e.Err != nil {
			t.Errorf("%s: %v", note, e.Err)
		}
		if n := s.forget(); n != 1 {
			t.Errorf("%s: %d requests", note, n)
		}
	}
}
