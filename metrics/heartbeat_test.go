package metrics

import (
	"testing"
	"time"
)

// LastHeartbeat moves on with each sign of life of the shard's thread, and only then.
func TestLastHeartbeat(t *testing.T) {
	s := NewShard(0, 0)
	if s.LastHeartbeat() != 0 {
		t.Error("a heartbeat before the first one")
	}
	s.BeginOutputWait() // before the first heartbeat
	s.EndOutputWait()
	if s.LastHeartbeat() != 0 {
		t.Error("a heartbeat before the first one")
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
		t.Error("a wait that has ended counts as a heartbeat")
	}
	s.EndThread()
	if s.LastHeartbeat() != 0 {
		t.Error("a heartbeat after EndThread")
	}
}

// A thread that does not run during splitOutputWait does not block a reader.
func TestAThreadThatIsHaltedInAWait(t *testing.T) {
	s := NewShard(0, 0)
	s.Heartbeat(time.Now())
	s.BeginOutputWait()
	s.EndOutputWait()
	s.outputWaitSince.Store(waitEnding)
	read := make(chan bool, 1)
	go func() {
		_, holding := s.OutputWait(time.Now())
		read <- holding
	}()
	select {
	case holding := <-read:
		if !holding {
			t.Error("the shard does not wait")
		}
	case <-time.After(time.Minute):
		t.Fatal("the reader is blocked")
	}
}

// Stalled returns the shards without a sign of life, except for a shard that waits for its output
// and a shard whose thread has ended.
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

// OutputWait adds up finished waits and the present one.
func TestOutputWait(t *testing.T) {
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
			t.Fatal("OutputWait does not return")
		}
		return total, holding
	}
	pass := func() { // so that every step takes a millisecond
		for began := time.Now(); time.Since(began) < time.Millisecond; {
		}
	}
	if total, holding := held(time.Now()); total != 0 || holding {
		t.Errorf("%s, %t before the wait", total, holding)
	}
	s.BeginOutputWait()
	pass()
	if total, holding := held(time.Now()); total < time.Millisecond || !holding {
		t.Errorf("%s, %t during the wait", total, holding)
	}
	s.KeepAlive()
	pass()
	if total, holding := held(time.Now()); total < 2*time.Millisecond || !holding {
		t.Errorf("%s, %t after KeepAlive", total, holding)
	}
	s.EndOutputWait()
	ended, holding := held(time.Now())
	if ended < 2*time.Millisecond || holding {
		t.Errorf("%s, %t after the wait", ended, holding)
	}
	s.BeginOutputWait()
	pass()
	s.EndOutputWait()
	if again, _ := held(time.Now().Add(time.Hour)); again < ended+time.Millisecond || again > ended+time.Hour {
		t.Errorf("%s, and %s after the second wait", ended, again)
	}
}

// SinceHeartbeat is the time since the last heartbeat, if the shard has a thread that has been at the
// socket.
func TestSinceHeartbeat(t *testing.T) {
	l := NewLedger("x")
	s := NewShard(0, 0)
	l.Add(&Listener{Name: "a", Shards: []*Shard{s}})
	now := time.Now()
	want := func(what string, away time.Duration, alive bool) {
		t.Helper()
		if got := s.Sample(now.Add(time.Minute)).SinceHeartbeat; got != away {
			t.Errorf("%s: %s, want %s", what, got, away)
		}
		if got := len(l.Stalled(now.Add(time.Minute), time.Second)) == 0; got != alive {
			t.Errorf("%s: alive: %t", what, got)
		}
	}
	want("no thread", 0, true)
	s.StartThread(77, 0)
	want("before the first heartbeat", 0, true)
	s.Heartbeat(now)
	want("a minute ago", time.Minute, false)
	s.Heartbeat(now.Add(time.Minute))
	want("just now", 0, true)
	s.Heartbeat(now)
	s.EndThread()
	want("after EndThread", 0, true)
}

func TestFenced(t *testing.T) {
	if NewShard(0, 0).Fenced() {
		t.Error("a shard without shared counters")
	}
	b := newShared(t, Layout{"a", 2, 1, 0})
	shards := b.Listeners()[0].Shards
	if shards[1].Fenced() {
		t.Error("before AdvanceEpoch")
	}
	if !b.AdvanceEpoch(b.Epoch()) || !shards[0].Fenced() || !shards[1].Fenced() {
		t.Error("after AdvanceEpoch")
	}
	if b.AdvanceEpoch(1) {
		t.Error("AdvanceEpoch from an old epoch")
	}
}
