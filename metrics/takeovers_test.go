package metrics

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// Takeovers by TakeoverStalled within a minute of each other double the patience, up to a bound. A
// quiet minute resets the patience; takeovers for other reasons do not change it.
func TestPatienceDoubles(t *testing.T) {
	const after = 250 * time.Millisecond
	start := time.Now()
	for _, v := range []struct {
		name    string
		stalled []time.Duration // since the start
		at      time.Duration
		want    time.Duration
	}{
		{"none", nil, 0, after},
		{"one", []time.Duration{0}, time.Second, after},
		{"two within a minute", []time.Duration{0, time.Minute}, 61 * time.Second, 2 * after},
		{"two, and a minute apart", []time.Duration{0, 61 * time.Second}, 62 * time.Second, after},
		{"three", []time.Duration{0, 10 * time.Second, 20 * time.Second}, 21 * time.Second, 4 * after},
		{"each within a minute of the one before", []time.Duration{0, 50 * time.Second, 100 * time.Second}, 101 * time.Second, 4 * after},
		{"four in 31 s", []time.Duration{0, 10 * time.Second, 20 * time.Second, 31 * time.Second}, 31 * time.Second, 8 * after},
		{"many", []time.Duration{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10, 16 * after},
		{"two, and a quiet minute", []time.Duration{0, 1}, time.Minute + 2, after},
		{"two, and one after a quiet minute", []time.Duration{0, 1, 2 * time.Minute}, 2 * time.Minute, after},
	} {
		shared := newShared(t, Layout{Listener: "a", Shards: 1, Batch: 1})
		for _, at := range v.stalled {
			shared.Takeovers().Add(TakeoverStalled, start.Add(at))
			shared.Takeovers().Add(TakeoverUpgrade, start.Add(at))
			next := newShared(t, Layout{Listener: "a", Shards: 1, Batch: 1}) // each process has counters of its own
			next.Inherit(shared, nil)
			shared = next
		}
		if got := shared.Takeovers().Patience(start.Add(v.at), after); got != v.want {
			t.Errorf("%s: %s, want %s", v.name, got, v.want)
		}
	}
}

// The takeovers of predecessors are inherited, and the status has the last one.
func TestTakeoversAreInherited(t *testing.T) {
	old := newShared(t, Layout{Listener: "a", Shards: 1, Batch: 1})
	at := time.Now()
	old.Takeovers().Add(TakeoverUpgrade, at.Add(-time.Hour))
	old.Takeovers().Add(TakeoverDied, at)
	next := newShared(t, Layout{Listener: "a", Shards: 1, Batch: 1})
	next.Inherit(old, nil)
	got := next.Takeovers().status(at)
	if got.Upgrade != 1 || got.Died != 1 || got.Last == nil || got.Last.Reason != "died" || !got.Last.At.Equal(at.Truncate(time.Millisecond)) {
		t.Errorf("%+v, last %+v", got, got.Last)
	}
}

// Damaged memory keeps the patience within bounds.
func TestPatienceOfDamagedMemory(t *testing.T) {
	now := time.Now()
	for _, at := range []int64{math.MinInt64, -1, 0, 1, clock(now), clock(now.Add(time.Hour)), math.MaxInt64} {
		for _, doublings := range []uint64{0, maxDoublings + 1, 63, math.MaxUint64} {
			var w Takeovers
			w.stalled.Store(at)
			w.doublings.Store(doublings)
			w.last.Store(at)
			w.lastReason.Store(doublings)
			p := w.Patience(now, time.Second)
			if p < time.Second || p > 16*time.Second || at > clock(now) && p != time.Second {
				t.Errorf("at %d, %d doublings: %s", at, doublings, p)
			}
			w.Add(TakeoverStalled, now)
			if p := w.Patience(now, time.Second); p < time.Second || p > 16*time.Second {
				t.Errorf("at %d, %d doublings, and one more: %s", at, doublings, p)
			}
			w.lastReason.Store(doublings)
			if last := w.status(now).Last; last != nil && doublings != 0 {
				t.Errorf("reason %d: %+v", doublings, last)
			}
		}
	}
}

func TestTakeoverStatus(t *testing.T) {
	shared := newShared(t, Layout{Listener: "a", Shards: 1, Batch: 1})
	l := NewLedger("1")
	l.SetSharedCounters(shared)
	if l.Status().Takeovers.Last != nil {
		t.Error("a last takeover before the first one")
	}
	at := time.Now()
	for reason := range TakeoverReasons {
		for range reason + 1 {
			shared.Takeovers().Add(reason, at)
		}
	}
	data, err := json.Marshal(l.Status().Takeovers)
	want := `{"upgrade":1,"stop":2,"died":3,"stalled":4,"restart":5,"patience_factor":8,"last":{"reason":"restart","at":"` +
		at.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) + `"}}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v, want %s", data, err, want)
	}
}
