package metrics

import (
	"testing"
	"time"
)

// A reason gets the time of the call that sees its counter grow.
func TestTimesOfTheLastDrop(t *testing.T) {
	if len(dropReasons) != reasons || dropReasons[kernelReason].Name != "kernel" || dropReasons[crashReason].Name != "lost_in_crash" {
		t.Fatalf("%d drop reasons, or in another order", len(dropReasons))
	}
	shard := NewShard(0, 0)
	first, second := time.UnixMilli(1000).UTC(), time.UnixMilli(2000).UTC()
	shard.Received.Add(9)
	shard.dateDrops(first)
	if got := shard.drops.read(); got != (DropTimes{}) {
		t.Errorf("times without a drop: %+v", got)
	}
	shard.NotAllowed.Add(2)
	shard.OutputLost.Add(1)
	shard.dateDrops(first)
	shard.OutputLost.Add(1)
	shard.dateDrops(second)
	shard.dateDrops(second.Add(time.Second))
	if got, want := shard.drops.read(), (DropTimes{NotAllowed: first, Output: second}); got != want {
		t.Errorf("times %+v, want %+v", got, want)
	}
}

// Other processes map the counters without the right to write: reading them sets no times.
func TestForeignReadSetsNoTimes(t *testing.T) {
	shared := newShared(t, Layout{"a", 1, 1, 0})
	shard := mustShard(t, shared, "a", 0)
	shard.OutputLost.Add(1)
	if got := reopen(t, shared).Listeners()[0].Shards[0].Read(); got.Dropped.Output != 1 || !got.LastDropped.Output.IsZero() {
		t.Errorf("reading %+v", got)
	}
}

// Times go on in the successor. Drops that the predecessor has not given a time, and drops that no
// process saw, get the time of the takeover.
func TestDropTimesAreInherited(t *testing.T) {
	began := time.Now().Truncate(time.Millisecond)
	for _, c := range []struct {
		about      string
		before     func(was *Shard, socket *fakeSocket) // the takeover
		during     func(next *Shard, socket *fakeSocket)
		now        []string // the reasons whose time is that of the takeover
		oldVersion bool
	}{
		{about: "no drops in between"},
		{about: "drops at the socket in between", during: func(_ *Shard, s *fakeSocket) { s.dropped += 3 },
			now: []string{"kernel"}},
		{about: "the successor has read the socket before the takeover",
			before: func(_ *Shard, s *fakeSocket) { s.cookie = 9 }},
		{about: "a crash", before: func(was *Shard, _ *fakeSocket) { was.Received.Add(1) }, now: []string{"lost_in_crash"}},
		{about: "drops in the last second", before: func(was *Shard, _ *fakeSocket) { was.Malformed.Add(1) },
			now: []string{"malformed"}},
		{about: "drops that a version without times has counted", oldVersion: true,
			before: func(was *Shard, _ *fakeSocket) { was.Malformed.Add(1) }},
	} {
		t.Run(c.about, func(t *testing.T) {
			old, successor := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
			was, socket := old.Listeners()[0].Shards[0], &fakeSocket{cookie: 9, dropped: 21}
			was.Attach(socket)
			was.StartThread(77, 0)
			was.OutputLost.Add(1)
			was.Received.Add(1)
			was.readSocket()
			at := time.UnixMilli(1000).UTC()
			was.dateDrops(at)
			want := map[string]time.Time{"output": at, "kernel": at}
			if c.before != nil {
				c.before(was, socket)
			}
			if c.oldVersion {
				old.header.began.Store(0)
			}
			next := attach(t, successor, socket)[0]
			next.Read() // as for the status of a standby
			inheritance := successor.Inherit(old, nil)
			if c.during != nil {
				c.during(next, socket)
			}
			if _, err := inheritance.Finalize(none); err != nil {
				t.Fatal(err)
			}
			got := next.Read()
			for _, reason := range c.now {
				want[reason] = time.Time{}
			}
			for _, row := range dropReasons {
				last := row.LastDrop(got.LastDropped)
				at, dated := want[row.Name]
				if dated && at.IsZero() && !last.Before(began) {
					continue
				}
				if !last.Equal(at) {
					t.Errorf("last drop for %s at %v, want %v", row.Name, last, at)
				}
			}
			if since := successor.Began(); !since.Equal(old.Began()) || since.IsZero() != c.oldVersion {
				t.Errorf("the counters began at %v, want %v", since, old.Began())
			}
		})
	}
}

// The time when the counters began does not reach back to losses of a listener that is gone.
func TestLossesOfARemovedListener(t *testing.T) {
	for _, lost := range []uint64{0, 1} {
		old, successor := newShared(t, Layout{"a", 1, 1, 0}, Layout{"b", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
		old.header.began.Store(1)
		was := mustShard(t, old, "b", 0)
		was.Received.Add(lost)
		was.OutputLost.Add(lost)
		was.NotAllowed.Add(1)
		before := time.Now()
		if _, err := successor.Inherit(old, nil).Finalize(none); err != nil {
			t.Fatal(err)
		}
		if moved := !successor.Began().Before(before); moved != (lost > 0) {
			t.Errorf("%d lost: the counters began at %v", lost, successor.Began())
		}
	}
}
