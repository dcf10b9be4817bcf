package metrics

import (
	"testing"
	"time"
)

// A pulse is what other processes see of a shard's thread: each sign of life
// moves it on, and none while it rests.
func TestPulse(t *testing.T) {
	s := NewShard(0, 0)
	if s.Pulse() != 0 {
		t.Error("a pulse before it has started")
	}
	s.Hold() // it has not been at its socket yet
	s.Release()
	if s.Pulse() != 0 {
		t.Error("a pulse before it has started")
	}
	now := time.Now()
	s.Beat(now)
	first := s.Pulse()
	s.Beat(now.Add(time.Millisecond))
	if second := s.Pulse(); second != first+int64(time.Millisecond) {
		t.Errorf("%d, then %d", first, second)
	}
	s.Beat(now)
	s.Hold()
	held := s.Pulse()
	if held < first {
		t.Errorf("%d, then %d", first, held)
	}
	before, holding := s.Held(time.Now())
	s.Holding()
	after, still := s.Held(time.Now())
	if s.Pulse() <= held || !holding || !still || after < before {
		t.Errorf("%d, then %d; held %s, %t, then %s, %t", held, s.Pulse(), before, holding, after, still)
	}
	s.Release()
	if s.Pulse() != first {
		t.Error("it no longer waits, and has not come back")
	}
	s.End()
	if s.Pulse() != 0 {
		t.Error("a pulse when it has ended")
	}
}

// A shard whose thread is kept from running as it says that it waits keeps no reader.
func TestAShardThatIsHaltedAsItWaits(t *testing.T) {
	s := NewShard(0, 0)
	s.Beat(time.Now())
	s.Hold()
	s.Release()
	s.heldSince.Store(releasing)
	read := make(chan bool, 1)
	go func() {
		_, holding := s.Held(time.Now())
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
		l.Shards[i].Beat(now.Add(-time.Minute))
	}
	ledger.Add(l)
	l.Shards[0].Beat(now)
	l.Shards[1].Hold()
	l.Shards[2].End()
	stalled := ledger.Stalled(now, time.Second)
	if len(stalled) != 1 || stalled[0].Listener != "a" || stalled[0].Shard != l.Shards[3] || stalled[0].For.Round(time.Second) != time.Minute {
		t.Errorf("%+v", stalled)
	}
	if stalled := ledger.Stalled(now, time.Hour); stalled != nil {
		t.Errorf("%+v", stalled)
	}
}

func TestReplaced(t *testing.T) {
	if NewShard(0, 0).Replaced() {
		t.Error("a shard without a book")
	}
	b := newBook(t, Layout{"a", 2, 1, 0})
	shards := b.Listeners()[0].Shards
	if shards[1].Replaced() {
		t.Error("nobody has claimed it")
	}
	if !b.Claim(b.Epoch()) || !shards[0].Replaced() || !shards[1].Replaced() {
		t.Error("somebody has claimed it")
	}
	if b.Claim(1) {
		t.Error("claimed twice")
	}
}
