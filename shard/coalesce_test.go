package shard

import (
	"testing"
	"time"
)

func TestPausesNeedALargeBuffer(t *testing.T) {
	for buffer, want := range map[int]time.Duration{
		2 * 212992:   0, // net.core.rmem_default
		2 * 1 << 20:  0,
		2 * 4 << 20:  1213 * time.Microsecond,
		2 * 32 << 20: maxPause,
		2 * 1 << 30:  maxPause,
	} {
		if got := pauseFor(buffer); got.Truncate(time.Microsecond) != want {
			t.Errorf("%d bytes: %v, want %v", buffer, got, want)
		}
	}
}

func TestPausesNeedARate(t *testing.T) {
	start := time.Now()
	for _, test := range []struct {
		count   int
		elapsed time.Duration
		want    bool
	}{
		{4, time.Millisecond, true},
		{3, time.Millisecond, false},
		{16, time.Second, false}, // a burst after silence
		{16, 50 * time.Microsecond, true},
		{1, 249 * time.Microsecond, true}, // 4,000/s
		{1, 251 * time.Microsecond, false},
		{0, time.Millisecond, false},
	} {
		g := coalescer{pause: time.Millisecond, messages: test.count, since: start}
		if got := g.shouldPause(start.Add(test.elapsed)); got != test.want {
			t.Errorf("%d in %s: %v", test.count, test.elapsed, got)
		}
		if g.messages != 0 || g.since != start.Add(test.elapsed) {
			t.Error("the count does not begin again")
		}
	}
	off := coalescer{messages: 1000, since: start}
	if off.shouldPause(start.Add(time.Millisecond)) {
		t.Error("a pause without a large buffer")
	}
}

func TestPausesWithoutEffectAreSkipped(t *testing.T) {
	g := coalescer{pause: time.Millisecond}
	now := time.Now()
	chance := func() bool { // a burst of 16 in a millisecond
		now = now.Add(time.Millisecond)
		g.messages = 16
		return g.shouldPause(now)
	}
	tries := 0
	for range 1000 {
		if chance() {
			tries++
			g.recordPause(0)
		}
	}
	if tries < 10 || tries > 25 { // 1, 2, 4 … 64, and then one in 64
		t.Errorf("%d tries in 1000 chances", tries)
	}
	for !chance() {
	}
	g.recordPause(minCoalesced)
	for range 10 {
		if !chance() {
			t.Error("no pause at the next chance, after a pause with effect")
		}
		g.recordPause(minCoalesced)
	}
}

// Only groups without replies pause.
func TestOnlyOneWayGroupsPause(t *testing.T) {
	for _, oneWay := range []bool{true, false} {
		g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, OneWay: oneWay})
		_, granted := g.ReceiveBuffer()
		want := pauseFor(2 * granted)
		if !oneWay {
			want = 0
		}
		if got := g.shards[0].coalescer.pause; got != want {
			t.Errorf("one-way %v pauses for %v, want %v", oneWay, got, want)
		}
	}
}
