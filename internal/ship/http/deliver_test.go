package http

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// refuse answers with a status to requests with one of the texts, and keeps the others.
func refuse(code int, texts ...string) func(*store, http.ResponseWriter, *request) {
	return func(s *store, w http.ResponseWriter, r *request) {
		for _, text := range texts {
			if strings.Contains(string(r.body), text) {
				w.WriteHeader(code)
				fmt.Fprintf(w, "found %s", text)
				return
			}
		}
		s.keep(r)
	}
}

// Of a thousand records, exactly the bad ones are rejected, and each good one is accepted once.
func TestBadRecords(t *testing.T) {
	for _, code := range []int{400, 422, 409} {
		for _, bad := range [][]int{{0}, {999}, {637}, {3, 4, 900}} {
			t.Run(fmt.Sprint(code, bad), func(t *testing.T) {
				b := shiptest.Numbered(0, 1000)
				for _, i := range bad {
					b.Records[i] = []byte(`{"message":"BAD"}`)
				}
				s := newStore(t, refuse(code, "BAD"))
				e := send(t, open(t, s.URL), b)
				if e.Err != nil || !slices.Equal(rejected(e), bad) {
					t.Fatalf("%v, rejected %v, want %v", e.Err, rejected(e), bad)
				}
				if want := fmt.Sprint(code, " ", http.StatusText(code), ": found BAD"); e.Rejected[0].Reason != want {
					t.Errorf("reason %q, want %q", e.Rejected[0].Reason, want)
				}
				wantKept(t, s, without(texts(b), bad...))
				ids := make(map[string]bool)
				for _, r := range s.requests {
					ids[r.Header.Get("Idempotency-Key")] = true
				}
				n := s.forget()
				if n > 1+20*len(bad) || len(ids) != n {
					t.Errorf("%d requests with %d identities", n, len(ids))
				}
			})
		}
	}
}

// A part of a batch has the identity of a batch of these records.
func TestPartID(t *testing.T) {
	b := shiptest.Numbered(100, 10)
	part := *b
	part.First, part.Records = 103, b.Records[3:7]
	if id, ok := partID(b, []int{3, 4, 5, 6}); !ok || id != part.ID() {
		t.Errorf("%s, want %s", id, part.ID())
	}
	if id, ok := partID(b, []int{3, 5, 6}); ok {
		t.Errorf("records that are not in a row have %s", id)
	}
}

// Records before a temporary error are done, with their rejections; the rest is sent again.
func TestTemporaryAmidParts(t *testing.T) {
	b := shiptest.Numbered(0, 64)
	b.Records[5], b.Records[40], b.Records[60] = []byte("BAD"), []byte("AWAY"), []byte("BAD")
	s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
		if !strings.Contains(string(r.body), "BAD") && strings.Contains(string(r.body), "AWAY") {
			w.WriteHeader(503)
			return
		}
		refuse(400, "BAD")(s, w, r)
	})
	to := open(t, s.URL)
	e := send(t, to, b)
	if e.Err == nil || e.Permanent || e.Acknowledged != 32 || !slices.Equal(rejected(e), []int{5}) {
		t.Fatalf("%+v", e)
	}
	wantKept(t, s, without(texts(b)[:32], 5))

	// The next Send has forgotten the first.
	rest := *b
	rest.First, rest.Records = 32, b.Records[32:]
	rest.Records[8] = []byte("here")
	s.forget()
	if e := send(t, to, &rest); e.Err != nil || !slices.Equal(rejected(e), []int{28}) {
		t.Fatalf("%+v", e)
	}
	wantKept(t, s, without(texts(&rest), 28))
}

// A server with a limit gets requests below the limit, and the next batches are no longer refused.
func TestTooLarge(t *testing.T) {
	const limit = 40 << 10
	refused := 0
	s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
		if len(r.body) > limit {
			refused++
			w.WriteHeader(413)
			return
		}
		s.keep(r)
	})
	to := open(t, s.URL)
	b := shiptest.Numbered(0, 1000)
	for i := range 3 {
		s.forget()
		refused = 0
		if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
			t.Fatalf("%+v", e)
		}
		wantKept(t, s, texts(b))
		if i > 0 && refused > 0 {
			t.Errorf("batch %d: %d requests were too large", i, refused)
		}
	}

	// A record above the limit is rejected alone.
	b.Records[500] = []byte(`{"message":"` + strings.Repeat("x", limit) + `"}`)
	s.forget()
	e := send(t, to, b)
	if e.Err != nil || !slices.Equal(rejected(e), []int{500}) || !strings.Contains(e.Rejected[0].Reason, "413") {
		t.Fatalf("%+v", e)
	}
	wantKept(t, s, without(texts(b), 500))
	if to.limit.bytes < minSizeLimit {
		t.Errorf("the limit is %d", to.limit.bytes)
	}
}

// The limit rises after a while, and is gone in the end: the server may have a new limit.
func TestSizeLimitRises(t *testing.T) {
	var l sizeLimit
	l.refused(600 << 10)
	if l.bytes != 300<<10 {
		t.Fatalf("%d", l.bytes)
	}
	for range raiseAfter {
		l.accepted()
	}
	if l.bytes != 600<<10 {
		t.Errorf("%d after %d requests", l.bytes, raiseAfter)
	}
	for range raiseAfter {
		l.accepted()
	}
	if l != (sizeLimit{}) {
		t.Errorf("%+v at the end", l)
	}
}

// A server may answer while the request is still being sent: the body stays as it is.
func TestEarlyAnswer(t *testing.T) {
	large := make([]byte, 8<<20)
	for i := range large {
		large[i] = 'a' + byte(i%26)
	}
	s := new(store)
	handler := s.handler(t, nil)
	s.Server = serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1<<20 {
			w.WriteHeader(503)
			return
		}
		handler(w, r)
	})
	to := open(t, s.URL, "compress", "none")
	for range 10 {
		if e := send(t, to, shiptest.Batch(0, string(large))); e.Err == nil {
			t.Fatal("the early answer is lost")
		}
		b := shiptest.Numbered(0, 100)
		s.forget()
		if e := send(t, to, b); e.Err != nil {
			t.Fatal(e.Err)
		}
		wantKept(t, s, texts(b))
	}
}

func TestOutcome(t *testing.T) {
	var r results
	r.reset(4)
	if r.acknowledge([]int{0, 1, 3}); r.outcome(ship.Permanent(errTest)).(*ship.Error).Acknowledged != 2 {
		t.Errorf("%+v", r)
	}
	r.reject([]int{1, 2}, "no")
	r.acknowledge([]int{2}) // by another URL
	e := r.outcome(nil).(*ship.Error)
	if e.Err != nil || !slices.Equal(rejected(*e), []int{1}) {
		t.Errorf("%+v", e)
	}
	r.reset(4)
	if r.acknowledge([]int{0, 1, 2, 3}); r.outcome(nil) != nil {
		t.Errorf("%+v", r)
	}
}
