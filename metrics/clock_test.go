package metrics

import (
	"testing"
	"time"
)

func TestLastReading(t *testing.T) {
	b := newShared(t, Layout{"a", 2, 1, 0}, Layout{"b", 1, 1, 0})
	if at := b.LastReading(); !at.IsZero() {
		t.Errorf("%s before the first heartbeat", at)
	}
	b.Prefault() // changes nothing
	now := time.Now()
	for i, listener := range b.Listeners() {
		for j, s := range listener.Shards {
			s.Heartbeat(now.Add(-time.Duration(1+i+j) * time.Second))
		}
	}
	if at := b.LastReading(); !at.Equal(now.Add(-time.Second)) {
		t.Errorf("%s, want %s", at, now.Add(-time.Second))
	}
}

// CPU time before StartThread does not count.
func TestStartThread(t *testing.T) {
	s := NewShard(0, 0)
	socket := &fakeSocket{used: 5 * time.Second}
	s.Attach(socket)
	s.StartThread(1, 5*time.Second)
	for _, step := range []struct{ used, want time.Duration }{{5, 0}, {7, 2}, {6, 2}} {
		socket.used = step.used * time.Second
		if got := s.Read().CPUTime; got != step.want*time.Second {
			t.Errorf("%s after %s", got, socket.used)
		}
	}
	s.EndThread()
	s.StartThread(1, 9*time.Second)
	socket.used = 10 * time.Second
	if got := s.Read().CPUTime; got != 3*time.Second {
		t.Errorf("%s, want 3s", got)
	}
}

func TestInFlight(t *testing.T) {
	s := NewShard(0, 0)
	s.Received.Store(9)
	s.Delivered.Store(4)
	s.Malformed.Store(2)
	if n := s.InFlight(); n != 3 {
		t.Errorf("%d, want 3", n)
	}
}
