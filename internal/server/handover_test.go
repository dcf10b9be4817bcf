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

// A peer that dies while the main loop is busy elsewhere is none that it waits
// for.
func TestAHandoverThatNeverBegan(t *testing.T) {
	h := newHandover(serverWith(t, nil))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Quiesce(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	soon(t, func() { h.Resume(errors.New("it died")) })
	go func() {
		asked := <-h.requests
		asked.done <- nil
	}()
	if err := h.Quiesce(context.Background()); err != nil {
		t.Fatal(err)
	}
	go h.Committed(takeover.Hello{})
	if !<-h.ended {
		t.Error("the next one has ended like the first")
	}
}

// A process that is replaced while it stops reading for a peer does not refuse that peer, which
// can go on: it finds who serves now.
func TestAHandoverOfAProcessThatIsReplaced(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	h := newHandover(serverWith(t, book))
	yields := func() error {
		go func() {
			asked := <-h.requests
			asked.done <- engine.ErrFenced
		}()
		return h.Quiesce(context.Background())
	}
	if err := yields(); errors.Is(err, net.ErrClosed) {
		t.Errorf("it was not replaced: %v", err)
	}
	if !book.AdvanceEpoch(metrics.FirstEpoch) {
		t.Fatal("not claimed")
	}
	if err := yields(); !errors.Is(err, net.ErrClosed) || !errors.Is(err, engine.ErrFenced) {
		t.Error(err)
	}
}

// A process that leaves its main loop takes no more peers, and keeps none
// waiting.
func TestAHandoverThatComesTooLate(t *testing.T) {
	h := newHandover(serverWith(t, nil))
	ended := make(chan error)
	go func() { ended <- h.Quiesce(context.Background()) }()
	h.close()
	soon(t, func() {
		if err := <-ended; err == nil {
			t.Error("the main loop has gone, and has yielded")
		}
		h.Resume(errors.New("too late"))
	})
}

// soon fails the test where f does not return.
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
		t.Fatal("it does not return")
	}
}

// A process that was replaced offers nobody what is another process's.
func TestAReplacedProcessOffersNothing(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	if !book.AdvanceEpoch(metrics.FirstEpoch) {
		t.Fatal("not replaced")
	}
	h := newHandover(serverWith(t, book))
	for _, role := range []takeover.Role{takeover.Successor, takeover.Standby} {
		if offer, err := h.Offer(takeover.Hello{Role: role}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %+v, %v", role, offer, err)
		}
	}
}

// serverWith returns a server without listeners that counts in counters, which may be nil.
func serverWith(t *testing.T, counters *metrics.SharedCounters) *server {
	t.Helper()
	s := newServer(Options{}, &config.Config{}, &service{log: zerolog.Nop()})
	if counters != nil {
		if err := s.succession.SetCounters(counters); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.succession.Release)
	}
	return s
}
