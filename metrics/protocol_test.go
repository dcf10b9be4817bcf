package metrics

import (
	"sync/atomic"
	"testing"
	"time"
)

func loads(tallies []atomic.Uint64) (n []uint64) {
	for i := range tallies {
		n = append(n, tallies[i].Load())
	}
	return n
}

func wantTallies(t *testing.T, got []atomic.Uint64, want ...uint64) {
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

func TestTalliesGoOn(t *testing.T) {
	old := newBook(t, Layout{"none", 2, 1, 0}, Layout{"dns", 2, 1, 3}, Layout{"other", 1, 1, 2}, Layout{"gone", 1, 1, 1})
	heir := newBook(t, Layout{"other", 1, 1, 3}, Layout{"dns", 1, 64, 3}, Layout{"none", 1, 1, 0})
	old.ProtocolCounters("dns", 0)[0].Store(1)
	old.ProtocolCounters("dns", 1)[0].Store(10)
	old.ProtocolCounters("dns", 1)[2].Store(5)
	old.ListenerProtocolCounters("dns")[0].Add(100) // over TCP, and of the one before
	old.ProtocolCounters("other", 0)[1].Store(7)
	old.ProtocolCounters("gone", 0)[0].Store(7)

	estate := heir.Inherit(again(t, old), nil)
	wantTallies(t, heir.ListenerProtocolCounters("dns"), 111, 0, 5)
	heir.ListenerProtocolCounters("dns")[1].Add(1)
	old.ProtocolCounters("dns", 0)[0].Store(3) // it wakes up
	estate.Sync()
	estate.Sync()
	wantTallies(t, heir.ListenerProtocolCounters("dns"), 113, 1, 5)
	old.ProtocolCounters("dns", 0)[1].Store(4)
	old.ProtocolCounters("dns", 0)[0].Store(0) // damaged: nothing goes back
	if _, err := estate.Finalize(func(Write) (int, error) { return 0, nil }); err != nil {
		t.Fatal(err)
	}
	wantTallies(t, heir.ListenerProtocolCounters("dns"), 113, 5, 5)
	wantTallies(t, heir.ProtocolCounters("dns", 0), 0, 0, 0)
	wantTallies(t, heir.ListenerProtocolCounters("other"), 0, 0, 0) // they mean something else
	for _, none := range [][]atomic.Uint64{heir.ProtocolCounters("none", 0), heir.ListenerProtocolCounters("none"), heir.ProtocolCounters("dns", 1), heir.ProtocolCounters("dns", -1), heir.ListenerProtocolCounters("gone")} {
		wantTallies(t, none)
	}
}

// A writer's are on no cache line of another one's.
func TestTalliesKeepApart(t *testing.T) {
	b := newBook(t, Layout{"a", 2, 1, 17}, Layout{"b", 1, 1, 1})
	seen := make(map[int]string)
	for name, slots := range map[string]int{"a": 3, "b": 2} {
		row, _, _ := b.tallied(name)
		for slot := range slots {
			for i := range len(b.tallies(row, slot)) {
				at := b.tallyAt[row] + slot*b.rows[row].tallySize() + 8*i
				who := name + string(rune('0'+slot))
				if other, taken := seen[at/cacheLine]; taken && other != who {
					t.Errorf("%s is on the line of %s", who, other)
				}
				seen[at/cacheLine] = who
				b.tallies(row, slot)[i].Store(^uint64(0))
			}
		}
	}
	for name, shards := range map[string]int{"a": 2, "b": 1} { // nor on a page's
		for i := range shards {
			if r := mustShard(t, b, name, i).Read(); r.Received != 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// CPU time is that of all the threads that a shard has had, in this process and
// those before.
func TestCPUTimeGoesOn(t *testing.T) {
	old, heir := newBook(t, Layout{"a", 1, 1, 0}), newBook(t, Layout{"a", 1, 1, 0})
	was, now := mustShard(t, old, "a", 0), mustShard(t, heir, "a", 0)
	socket := &fakeSocket{cookie: 1, used: 3 * time.Second}
	was.Attach(socket)
	was.StartThread(70, 0)
	was.EndThread()
	if thread := was.Thread(); thread != 0 {
		t.Errorf("thread %d has ended", thread)
	}
	socket.used = time.Second // of the next thread
	was.StartThread(71, 0)
	if got := was.Read().CPUTime; got != 4*time.Second {
		t.Errorf("%s of two threads", got)
	}
	socket.used = time.Second / 2 // no clock does, and a figure that went back would be no counter
	if got := was.Read().CPUTime; got != 4*time.Second {
		t.Errorf("%s, and it was 4s", got)
	}
	socket.used = time.Second
	now.Attach(&fakeSocket{cookie: 1, used: 10 * time.Second})
	estate := heir.Inherit(old, nil)
	now.StartThread(80, 0)
	if got := now.Read().CPUTime; got != 14*time.Second {
		t.Errorf("%s of two processes", got)
	}
	socket.used = 2 * time.Second
	was.EndThread()
	estate.Sync()
	if got := now.Read().CPUTime; got != 15*time.Second {
		t.Errorf("%s of two processes, the first of which has gone on", got)
	}
}
