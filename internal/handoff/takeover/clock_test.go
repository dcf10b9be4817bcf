package takeover

import (
	"context"
	"testing"
	"time"
)

// A successor learns when the active process began to stop reading.
func TestQuiescedAt(t *testing.T) {
	a, quiescing := newActive(t, 1), make(chan time.Time, 1)
	a.quiesce = func(context.Context) error { quiescing <- time.Now(); return nil }
	v := start(t, a)
	c, _ := join(t, v.Path(), Successor)
	if at := c.QuiescedAt(); !at.IsZero() {
		t.Errorf("quiesced at %s, before Ready", at)
	}
	before := time.Now()
	takeOver(t, c).Close()
	quiesced := <-quiescing
	if at := c.QuiescedAt(); at.Before(before.Add(-time.Millisecond)) || at.After(quiesced.Add(time.Millisecond)) {
		t.Errorf("stopped at %s, want from %s to %s", at, before, quiesced)
	}
}

// An impossible time is the zero time.
func TestTimeOfClock(t *testing.T) {
	for _, ns := range []int64{0, monotonicNow() + int64(time.Hour)} {
		if at := timeOfClock(ns); !at.IsZero() {
			t.Errorf("%d is %s", ns, at)
		}
	}
	now := time.Now()
	if at := timeOfClock(monotonicNow()); at.Sub(now).Abs() > time.Minute {
		t.Errorf("%s, want about %s", at, now)
	}
}

// After a takeover, Serve returns when the new process reads: Conn.Close says so.
func TestServeReturnsWhenTheNewProcessReads(t *testing.T) {
	a := newActive(t, 1)
	v := start(t, a, func(s *Server) { s.limits.firstRead = testTimeout })
	c, _ := join(t, v.Path(), Successor)
	if err := c.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Commit(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a.waitForCall("committed")
	select {
	case err := <-v.ended:
		t.Fatalf("Serve did not wait: %v", err)
	default:
	}
	c.Close()
	wantError(t, result(t, v.ended), nil)
}

// Serve does not wait for a new process that never reads.
func TestServeDoesNotWaitForever(t *testing.T) {
	a := newActive(t, 1)
	v := start(t, a, func(s *Server) { s.limits.firstRead = time.Millisecond })
	c, _ := join(t, v.Path(), Successor)
	if err := c.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Commit(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantError(t, result(t, v.ended), nil)
	c.Close()
}
