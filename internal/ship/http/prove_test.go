package http

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A new target that refuses all records rejects none: the URL or an option is wrong. The records are
// sent when that is mended. A target that has accepted a record rejects records.
func TestNewTargetRefusesAll(t *testing.T) {
	right := false
	s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
		if !right {
			w.WriteHeader(400)
			fmt.Fprint(w, "Client sent an HTTP request to an HTTPS server.")
			return
		}
		refuse(400, "BAD")(s, w, r)
	})
	to := open(t, s.URL)
	b := shiptest.Numbered(0, 1000)
	for range 2 {
		s.forget()
		e := send(t, to, b)
		if !e.Permanent || e.Acknowledged != 0 || len(e.Rejected) > 0 || !strings.Contains(e.Error(), "HTTPS server") {
			t.Fatalf("%+v", e)
		}
		if n := s.forget(); n > 2*maxDoubt+20 {
			t.Errorf("%d requests for a batch that is refused", n)
		}
	}
	right = true
	if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
		t.Fatalf("%+v", e)
	}
	bad := shiptest.Batch(1000, "BAD")
	bad.Note = b.Note // of the cursor, over restarts
	if e := send(t, open(t, s.URL), bad); e.Err != nil || !slices.Equal(rejected(e), []int{0}) {
		t.Errorf("%+v", e)
	}
}

// A data stream of Elasticsearch refuses each record without @timestamp.
func TestNewTargetRefusesItems(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, r *request) {
		item := `{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"no @timestamp"}}}`
		n := len(r.lines()) / 2
		fmt.Fprintf(w, `{"errors":true,"items":[%s]}`, strings.Join(slices.Repeat([]string{item}, n), ","))
	})
	e := send(t, open(t, s.URL+"/_bulk", "format", "elasticsearch"), shiptest.Numbered(0, 100))
	if !e.Permanent || e.Acknowledged != 0 || len(e.Rejected) > 0 || !strings.Contains(e.Error(), "no @timestamp") {
		t.Errorf("%+v", e)
	}
}

// A first record that is bad does not stop the target for ever.
func TestFirstRecordIsBad(t *testing.T) {
	s := newStore(t, refuse(400, "BAD"))
	to := open(t, s.URL)
	b := shiptest.Batch(0, "BAD", "BAD")
	for range maxUnproven {
		if e := send(t, to, b); !e.Permanent || e.Acknowledged != 0 || len(e.Rejected) > 0 {
			t.Fatalf("%+v", e)
		}
	}
	if e := send(t, to, b); !e.Permanent || e.Acknowledged != 1 || !slices.Equal(rejected(e), []int{0}) {
		t.Errorf("%+v", e)
	}
}
