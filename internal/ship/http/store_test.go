package http

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// store is a server that keeps its requests.
type store struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*request
	kept     []string // lines of requests that the test accepted
}

// request is a request with its body, decompressed.
type request struct {
	*http.Request
	body []byte
}

func (r *request) lines() []string {
	return strings.Split(strings.TrimSuffix(string(r.body), "\n"), "\n")
}

// keep answers 200, and keeps the lines of the request.
func (s *store) keep(r *request) { s.kept = append(s.kept, r.lines()...) }

// newStore starts a store. answer is called with each request, one at a time; nil keeps all.
func newStore(t testing.TB, answer func(s *store, w http.ResponseWriter, r *request)) *store {
	t.Helper()
	s := new(store)
	s.Server = unstarted(t, s.handler(t, answer))
	s.Start()
	return s
}

func (s *store) handler(t testing.TB, answer func(*store, http.ResponseWriter, *request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("body: %v", err)
		}
		if body, err = decompress(r.Header.Get("Content-Encoding"), body); err != nil {
			t.Errorf("body: %v", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		kept := &request{r, body}
		s.requests = append(s.requests, kept)
		if answer == nil {
			s.keep(kept)
			return
		}
		answer(s, w, kept)
	}
}

func decompress(encoding string, data []byte) ([]byte, error) {
	switch encoding {
	case "gzip":
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case "zstd":
		r, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	case "":
		return data, nil
	}
	return nil, errors.New("unknown encoding " + encoding)
}

// forget returns the number of requests so far, and forgets them.
func (s *store) forget() (requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests = len(s.requests)
	s.requests, s.kept = nil, nil
	return requests
}

// open returns a target. options are keys and values in turn.
func open(t testing.TB, url string, options ...string) *target {
	t.Helper()
	opened, err := New(shiptest.Settings(t, url, options...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	return opened.(*target)
}

// send sends a batch, and returns the result: the zero Error if all is acknowledged.
func send(t testing.TB, to *target, b *ship.Batch) ship.Error {
	t.Helper()
	err := to.Send(context.Background(), b)
	if err == nil {
		return ship.Error{}
	}
	var e *ship.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	if e.Err == nil && e.Acknowledged != len(b.Records) {
		t.Errorf("%d of %d records are done", e.Acknowledged, len(b.Records))
	}
	return *e
}

// texts returns the records of a batch.
func texts(b *ship.Batch) (all []string) {
	for _, r := range b.Records {
		all = append(all, string(r))
	}
	return all
}

// without returns all but the elements at some indices.
func without(all []string, indices ...int) (rest []string) {
	for i, text := range all {
		if !slices.Contains(indices, i) {
			rest = append(rest, text)
		}
	}
	return rest
}

// rejected returns the indices of rejected records.
func rejected(e ship.Error) (indices []int) {
	for _, r := range e.Rejected {
		indices = append(indices, r.Index)
	}
	return indices
}

// wantKept checks which lines the store has, in order.
func wantKept(t testing.TB, s *store, want []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.kept, want) {
		t.Errorf("the store has %d lines, want %d: %.300q", len(s.kept), len(want), s.kept)
	}
}

// serve starts a server with a handler.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	s := unstarted(t, handler)
	s.Start()
	return s
}

// unstarted returns a server that the test starts, with the log of the server kept quiet.
func unstarted(t testing.TB, handler http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(s.Close)
	return s
}
