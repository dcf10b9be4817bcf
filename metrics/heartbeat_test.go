package metrics

import (
	"testing"
	"time"
)

// A pulse is what other processes see of a shard's thread: each sign of life
// moves it on, and none while it rests.
func TestPulse(t *testing.T) {
	s := NewShard(0, 0)
	if s.LastHeartbeat() != 0 {
		t.Error("a pulse before it has started")
	}
	s.BeginOutputWait() // it has not been at its socket yet
	s.EndOutputWait()
	if s.LastHeartbeat() != 0 {
		t.Error("a pulse before it has started")
	}
	now := time.Now()
	s.Heartbeat(now)
	first := s.LastHeartbeat()
	s.Heartbeat(now.Add(time.Millisecond))
	if second := s.LastHeartbeat(); second != first+int64(time.Millisecond) {
		t.Errorf("%d, then %d", first, second)
	}
	s.Heartbeat(now)
	s.BeginOutputWait()
	held := s.LastHeartbeat()
	if held < first {
		t.Errorf("%d, then %d", first, held)
	}
	before, holding := s.OutputWait(time.Now())
	s.KeepAlive()
	after, still := s.OutputWait(time.Now())
	if s.LastHeartbeat() <= held || !holding || !still || after < before {
		t.Errorf("%d, then %d; held %s, %t, then %s, %t", held, s.LastHeartbeat(), before, holding, after, still)
	}
	s.EndOutputWait()
	if s.LastHeartbeat() != first {
		t.Error("it no longer waits, and has not come back")
	}
	s.EndThread()
	if s.LastHeartbeat() != 0 {
		t.Error("a pulse when it has ended")
	}
}

// A shard whose thread is kept from running as it says that it waits keeps no reader.
func TestAShardThatIsHaltedAsItWaits(t *testing.T) {
	s := NewShard(0, 0)
	s.Heartbeat(time.Now())
	s.BeginOutputWait()
	s.EndOutputWait()
	s.heldSince.Store(releasing)
	read := make(chan bool, 1)
	go func() {
		_, holding := s.OutputWait(time.Now())
		read <- holding
	}()
	select {
	case holding := <-read:
		if !holding {
			t.Error("it does not wait")
		}
	case <-time.After(time.Minute):
		t.Fatal("its reader waits for it")
	}
}

// Stalled names the shards that show no sign of life, and neither one that waits for its
// output nor one that has ended.
func TestStalled(t *testing.T) {
	ledger, now := NewLedger(""), time.Now()
	l := &Listener{Name: "a"}
	for i := range 4 {
		l.Shards = append(l.Shards, NewShard(i, 0))
		l.Shards[i].Heartbeat(now.Add(-time.Minute))
	}
	ledger.Add(l)
	l.Shards[0].Heartbeat(now)
	l.Shards[1].BeginOutputWait()
	l.Shards[2].EndThread()
	stalled := ledger.Stalled(now, time.Second)
	if len(stalled) != 1 || stalled[0].Listener != "a" || stalled[0].Shard != l.Shards[3] || stalled[0].For.Round(time.Second) != time.Minute {
		t.Errorf("%+v", stalled)
	}
	if stalled := ledger.Stalled(now, time.Hour); stalled != nil {
		t.Errorf("%+v", stalled)
	}
}

// What a shard waits for its output adds up: waits that have ended, and the one that goes on.
func TestHeld(t *testing.T) {
	s := NewShard(0, 0)
	held := func(at time.Time) (total time.Duration, holding bool) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			total, holding = s.OutputWait(at)
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("a wait is neither over nor does it go on")
		}
		return total, holding
	}
	pass := func() { // so that every step has taken some time
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
	}
	if total, holding := held(time.Now()); total != 0 || holding {
		t.Errorf("%s, %t before it waits", total, holding)
	}
	s.BeginOutputWait()
	pass()
	if total, holding := held(time.Now()); total < time.Millisecond || !holding {
		t.Errorf("%s, %t while it waits", total, holding)
	}
	s.KeepAlive()
	pass()
	if total, holding := held(time.Now()); total < 2*time.Millisecond || !holding {
		t.Errorf("%s, %t while it still waits", total, holding)
	}
	s.EndOutputWait()
	ended, holding := held(time.Now())
	if ended < 2*time.Millisecond || holding {
		t.Errorf("%s, %t when it goes on", ended, holding)
	}
	s.BeginOutputWait()
	pass()
	s.EndOutputWait()
	if again, _ := held(time.Now().Add(time.Hour)); again < ended+time.Millisecond || again > ended+time.Hour {
		t.Errorf("%s, and after another wait %s", ended, again)
	}
}

// A shard is away since it was last at its socket, where it has a thread that was there.
func TestAway(t *testing.T) {
	l := NewLedger("x")
	s := NewShard(0, 0)
	l.Add(&Listener{Name: "a", Shards: []*Shard{s}})
	now := time.Now()
	want := func(what string, away time.Duration, turning bool) {
		t.Helper()
		if got := s.Sample(now.Add(time.Minute)).SinceHeartbeat; got != away {
			t.Errorf("%s: away for %s, want %s", what, got, away)
		}
		if got := len(l.Stalled(now.Add(time.Minute), time.Second)) == 0; got != turning {
			t.Errorf("%s: it shows signs of life: %t", what, got)
		}
	}
	want("no thread", 0, true)
	s.StartThread(77, 0)
	want("not at its socket yet", 0, true)
	s.Heartbeat(now)
	want("a minute ago", time.Minute, false)
	s.Heartbeat(now.Add(time.Minute))
	want("just now", 0, true)
	s.Heartbeat(now)
	s.EndThread()
	want("it has ended", 0, true)
}

func TestReplaced(t *testing.T) {
	if NewShard(0, 0).Fenced() {
		t.Error("a shard without a book")
	}
	b := newBook(t, Layout{"a", 2, 1, 0})
	shards := b.Listeners()[0].Shards
	if shards[1].Fenced() {
		t.Error("nobody has claimed it")
	}
	if !b.AdvanceEpoch(b.Epoch()) || !shards[0].Fenced() || !shards[1].Fenced() {
		t.Error("somebody has claimed it")
	}
	if b.AdvanceEpoch(1) {
		t.Error("claimed twice")
	}
}
