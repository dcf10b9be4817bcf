package succession

import (
	"testing"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// opened opens a book as another process does that is registered with it.
func opened(t *testing.T, b *metrics.SharedCounters) *metrics.SharedCounters {
	t.Helper()
	counters, controlOf := b.Files()
	memory, err := handoff.Memory{Counters: counters, Control: controlOf}.Duplicate()
	if err != nil {
		t.Fatal(err)
	}
	control, err := takeover.Register(memory.Control, 0)
	memory.Control.Close()
	if err != nil {
		t.Fatal(err)
	}
	other, err := metrics.OpenSharedCounters(memory.Counters, control)
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// A standby that meets the process which has replaced the one before stays registered with the
// one before. A standby that had the counters of the new process already is registered once:
// else it would count itself among those that it has to meet.
func TestWhatAStandbyIsRegisteredWith(t *testing.T) {
	newBook := func() *metrics.SharedCounters {
		book, err := metrics.NewSharedCounters(metrics.Layout{Listener: "a", Shards: 1, Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { book.Close() })
		return book
	}
	registered := func(b *metrics.SharedCounters, epoch uint64) int {
		n, err := takeover.CountRegistrations(b.Control(), epoch)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before, now := newBook(), newBook()
	last := &Predecessor{Counters: opened(t, before), disconnected: true}
	met := &Predecessor{Counters: opened(t, now)}
	met.replace(last)
	if a, b, c := registered(before, metrics.FirstEpoch), registered(before, metrics.FirstEpoch+1), registered(now, 9); a != 0 || b != 1 || c != 1 {
		t.Errorf("%d and %d registrations with the one before, %d with the new one", a, b, c)
	}
	again := &Predecessor{Counters: opened(t, now)}
	met.disconnected = true
	again.replace(met)
	if a, b := registered(before, 9), registered(now, 9); a != 1 || b != 1 {
		t.Errorf("%d registrations with the one before, %d with the new one", a, b)
	}
	again.Close()
	if a, b := registered(before, 9), registered(now, 9); a+b != 0 {
		t.Errorf("%d registrations with the one before, %d with the new one, after the end", a, b)
	}
}
