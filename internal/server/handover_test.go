package server

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// The main loop does not wait for a peer that ends before the main loop has the peer's request.
func TestAHandoverThatNeverBegan(t *testing.T) {
	h := newHandover(serverWith(t, nil))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Quiesce(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	soon(t, func() { h.Resume(errors.New("the peer has died")) })
	go func() { (<-h.requests).done <- nil }()
	if err := h.Quiesce(context.Background()); err != nil {
		t.Fatal(err)
	}
	go h.Committed(takeover.Hello{})
	if !<-h.ended {
		t.Error("the second handover has failed like the first")
	}
}

// A process that is replaced while it stops reading for a peer does not refuse the peer, which
// dials the new active process.
func TestAHandoverOfAReplacedProcess(t *testing.T) {
	counters := newCounters(t)
	h := newHandover(serverWith(t, counters))
	quiesce := func() error {
		go func() { (<-h.requests).done <- engine.ErrFenced }()
		return h.Quiesce(context.Background())
	}
	if err := quiesce(); errors.Is(err, net.ErrClosed) {
		t.Errorf("before the replacement: %v", err)
	}
	replace(t, counters)
	if err := quiesce(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, engine.ErrFenced) {
		t.Errorf("after the replacement: %v", err)
	}
}

// After the end of the main loop Quiesce returns an error at once.
func TestAHandoverThatComesTooLate(t *testing.T) {
	h := newHandover(serverWith(t, nil))
	ended := make(chan error)
	go func() { ended <- h.Quiesce(context.Background()) }()
	h.close()
	soon(t, func() {
		if err := <-ended; err == nil {
			t.Error("Quiesce has succeeded without a main loop")
		}
		h.Resume(errors.New("too late"))
	})
}

// soon fails the test if f does not return within ten seconds.
func soon(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the function does not return")
	}
}

// A replaced process does not offer its sockets, which belong to the new active process.
func TestAReplacedProcessOffersNothing(t *testing.T) {
	counters := newCounters(t)
	replace(t, counters)
	h := newHandover(serverWith(t, counters))
	for _, role := range []takeover.Role{takeover.Successor, takeover.Standby} {
		if offer, err := h.Offer(takeover.Hello{Role: role}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %+v, %v", role, offer, err)
		}
	}
}

// newCounters returns shared counters of one shard, which the test closes.
func newCounters(t *testing.T) *metrics.SharedCounters {
	t.Helper()
	c, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// replace advances the epoch, as a peer does that replaces the owner of counters.
func replace(t *testing.T, counters *metrics.SharedCounters) {
	t.Helper()
	if !counters.AdvanceEpoch(metrics.FirstEpoch) {
		t.Fatal("the epoch has not changed")
	}
}

// serverWith returns a server without listeners that counts in counters, which may be nil.
func serverWith(t *testing.T, counters *metrics.SharedCounters) *server {
	t.Helper()
	s := newServer(Options{}, &config.Config{}, &service{log: zerolog.Nop()}, signals{})
	if counters != nil {
		if err := s.succession.SetCounters(counters); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.succession.Release)
	}
	return s
}
