package steer

import (
	"net/netip"
	"testing"
)

// The thread fills a sketch while the reader reads the other sketch: no datagram is lost.
func TestSketchPair(t *testing.T) {
	plan := Plan{Mode: Auto, Shards: 2}
	ta := NewSketchPair(NewSketch(plan), NewSketch(plan))
	done := make(chan struct{})
	var counted, read uint64
	source := netip.MustParseAddrPort("192.0.2.1:5514")
	go func() {
		defer close(done)
		for range 200_000 {
			ta.Filling().Add(source, 1)
			counted++
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		if full, ok := ta.Full(); ok {
			read += full.Total
		}
		ta.RequestSwap()
	}
	for range 2 { // the rest of both sketches
		ta.Filling()
		if full, ok := ta.Full(); ok {
			read += full.Total
		}
		ta.RequestSwap()
	}
	if read != counted {
		t.Errorf("%d read of %d counted", read, counted)
	}
}
