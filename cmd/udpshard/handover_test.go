package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard/takeover"
)

// A peer that dies while the main loop is busy elsewhere is none that it waits
// for.
func TestAHandoverThatNeverBegan(t *testing.T) {
	h := newHandover(&server{ledger: metrics.NewLedger("")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.Yield(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	h.Resume(errors.New("it died")) // and returns
	go func() {
		asked := <-h.asked
		asked.done <- nil
	}()
	if err := h.Yield(context.Background()); err != nil {
		t.Fatal(err)
	}
	go h.Left(takeover.Hello{})
	if !<-h.ended {
		t.Error("the next one has ended like the first")
	}
}

// A process that leaves its main loop takes no more peers, and keeps none
// waiting.
func TestAHandoverThatComesTooLate(t *testing.T) {
	h := newHandover(&server{ledger: metrics.NewLedger("")})
	ended := make(chan error)
	go func() { ended <- h.Yield(context.Background()) }()
	h.close()
	if err := <-ended; err == nil {
		t.Error("the main loop has gone, and has yielded")
	}
	h.Resume(errors.New("too late"))
}

// The one that serves and the one that stands by are told to stop at about the
// same moment: both do, wherever they are with handing over.
func TestBothAreStoppedAtOnce(t *testing.T) {
	dir := publicDir(t)
	args := []string{"--listen", freePort(t), "--shards", "2", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "discard"}
	const apart = 100 * time.Microsecond
	for i := range 40 {
		p := serving(t, ordinary, args...)
		next := p.startStandby(args...)
		codes := make(chan int, 2)
		go func() { codes <- p.terminate() }()
		time.AfterFunc(time.Duration(i)*apart, func() { codes <- next.terminate() })
		late := time.After(10 * time.Second)
		for range 2 {
			select {
			case code := <-codes:
				if code != 0 {
					t.Errorf("exit code %d", code)
				}
			case <-late:
				t.Fatal("SIGTERM is without effect")
			}
		}
	}
}
