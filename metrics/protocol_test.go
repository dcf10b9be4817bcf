package metrics

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

func loads(counters []atomic.Uint64) (n []uint64) {
	for i := range counters {
		n = append(n, counters[i].Load())
	}
	return n
}

func wantCounters(t *testing.T, got []atomic.Uint64, want ...uint64) {
	t.Helper()
	now := loads(got)
	if len(now) != len(want) {
		t.Fatalf("%d, want %d", now, want)
	}
	for i := range want {
		if now[i] != want[i] {
			t.Fatalf("%d, want %d", now, want)
		}
	}
}

func TestProtocolCountersAreInherited(t *testing.T) {
	old := newShared(t, Layout{"none", 2, 1, 0}, Layout{"dns", 2, 1, 3}, Layout{"other", 1, 1, 2}, Layout{"gone", 1, 1, 1})
	successor := newShared(t, Layout{"other", 1, 1, 3}, Layout{"dns", 1, 64, 3}, Layout{"none", 1, 1, 0})
	old.ProtocolCounters("dns", 0)[0].Store(1)
	old.ProtocolCounters("dns", 1)[0].Store(10)
	old.ProtocolCounters("dns", 1)[2].Store(5)
	old.ListenerProtocolCounters("dns")[0].Add(100) // over TCP, and of a predecessor
	old.ProtocolCounters("other", 0)[1].Store(7)
	old.ProtocolCounters("gone", 0)[0].Store(7)

	inheritance := successor.Inherit(reopen(t, old), nil)
	wantCounters(t, successor.ListenerProtocolCounters("dns"), 111, 0, 5)
	successor.ListenerProtocolCounters("dns")[1].Add(1)
	old.ProtocolCounters("dns", 0)[0].Store(3) // the predecessor counts
	inheritance.Sync()
	inheritance.Sync()
	wantCounters(t, successor.ListenerProtocolCounters("dns"), 113, 1, 5)
	old.ProtocolCounters("dns", 0)[1].Store(4)
	old.ProtocolCounters("dns", 0)[0].Store(0) // damage: no counter goes back
	if _, err := inheritance.Finalize(func(Write) (int, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	wantCounters(t, successor.ListenerProtocolCounters("dns"), 113, 5, 5)
	wantCounters(t, successor.ProtocolCounters("dns", 0), 0, 0, 0)
	wantCounters(t, successor.ListenerProtocolCounters("other"), 0, 0, 0) // another number of counters
	for _, none := range [][]atomic.Uint64{successor.ProtocolCounters("none", 0), successor.ListenerProtocolCounters("none"), successor.ProtocolCounters("dns", 1), successor.ProtocolCounters("dns", -1), successor.ListenerProtocolCounters("gone")} {
		wantCounters(t, none)
	}
}

// No two writers of protocol counters share a cache line.
func TestProtocolCountersAreApart(t *testing.T) {
	sc := newShared(t, Layout{"a", 2, 1, 17}, Layout{"b", 1, 1, 1})
	owners := make(map[int]string)
	for name, slots := range map[string]int{"a": 3, "b": 2} {
		l := sc.byName[name]
		for slot := range slots {
			owner := fmt.Sprint(name, slot)
			counters := sc.protocolCounters(l, slot)
			for i := range counters {
				line := (l.protocol + slot*l.protocolSize() + 8*i) / cacheLine
				if other := owners[line]; other != "" && other != owner {
					t.Errorf("counters of %s are on a line of %s", owner, other)
				}
				owners[line] = owner
				counters[i].Store(^uint64(0))
			}
		}
	}
	for name, shards := range map[string]int{"a": 2, "b": 1} { // shards are on other lines
		for i := range shards {
			if r := mustShard(t, sc, name, i).Read(); r.Received != 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// CPU time is the sum over all threads of a shard, in this process and its predecessors.
func TestCPUTimeIsInherited(t *testing.T) {
	old, successor := newShared(t, Layout{"a", 1, 1, 0}), newShared(t, Layout{"a", 1, 1, 0})
	was, now := mustShard(t, old, "a", 0), mustShard(t, successor, "a", 0)
	socket := &fakeSocket{cookie: 1, used: 3 * time.Second}
	was.Attach(socket)
	was.StartThread(70, 0)
	was.EndThread()
	if thread := was.Thread(); thread != 0 {
		t.Errorf("thread %d has ended", thread)
	}
	socket.used = time.Second // of the second thread
	was.StartThread(71, 0)
	if got := was.Read().CPUTime; got != 4*time.Second {
		t.Errorf("%s of two threads", got)
	}
	socket.used = time.Second / 2 // clocks do not go back; if one does, the counter stays
	if got := was.Read().CPUTime; got != 4*time.Second {
		t.Errorf("%s, and it was 4s", got)
	}
	socket.used = time.Second
	now.Attach(&fakeSocket{cookie: 1, used: 10 * time.Second})
	inheritance := successor.Inherit(old, nil)
	now.StartThread(80, 0)
	if got := now.Read().CPUTime; got != 14*time.Second {
		t.Errorf("%s of two processes", got)
	}
	socket.used = 2 * time.Second
	was.EndThread()
	inheritance.Sync()
	if got := now.Read().CPUTime; got != 15*time.Second {
		t.Errorf("%s of two processes, the first of which has gone on", got)
	}
}
