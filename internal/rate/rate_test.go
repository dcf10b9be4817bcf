package rate

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRate(t *testing.T) {
	for _, test := range []struct {
		perSecond, tries int // tries a second
		want             int // allowed in three seconds
	}{
		{1, 1000, 4 - 1}, // the fourth would be at 3 s
		{10, 1000, 10 + 3*10 - 1},
		{10, 9, 27},
		{999, 1000, 3000},
		{MaxPerSecond, 1000, 3000},
	} {
		table := NewTable(test.perSecond)
		taken := 0
		for i := range 3 * test.tries {
			if table.Allow(1, time.Hour+time.Duration(i)*time.Second/time.Duration(test.tries)) {
				taken++
			}
		}
		if taken != test.want {
			t.Errorf("%d of %d/s at %d/s, want %d", taken, test.tries, test.perSecond, test.want)
		}
	}
}

func TestEveryNthRefusal(t *testing.T) {
	for n := 1; n <= MaxNth; n++ {
		table := NewTable(100)
		refused := 0
		for i := range 20_000 {
			now := time.Hour + time.Duration(i)*time.Millisecond // ten times the rate
			taken, nth := table.AllowNth(1, now, n)
			if taken && nth {
				t.Fatal("taken, and an n-th refusal")
			}
			if taken {
				continue
			}
			refused++
			if want := refused%n == 0; nth != want {
				t.Fatalf("n %d, refusal %d: %t", n, refused, nth)
			}
		}
		if want := 20_000 - 100 - 20*100; refused < want || refused > want+1 {
			t.Errorf("n %d: %d refused, want %d", n, refused, want)
		}
	}
}

// A key that gets the slot of another key starts without refusals.
func TestRefusalsAreNotInherited(t *testing.T) {
	table := NewTable(1)
	now := time.Hour
	for key := range uint64(ways) {
		table.AllowNth(key<<1, now, 2)
		table.AllowNth(key<<1, now, 2)
	}
	for key := range uint64(ways) {
		key = 1000 + key<<1
		if taken, _ := table.AllowNth(key, now+time.Hour, 2); !taken {
			t.Fatal("a new key is refused")
		}
		if _, nth := table.AllowNth(key, now+time.Hour, 2); nth {
			t.Error("a key's first refusal is its second")
		}
	}
}

// Threads with the same key share the key's rate, and get exactly every n-th refusal.
func TestThreads(t *testing.T) {
	const threads, tries, perSecond, n = 4, 20_000, 1000, 3
	table := NewTable(perSecond)
	var taken, nths atomic.Int64
	var wait sync.WaitGroup
	for range threads {
		wait.Go(func() {
			for range tries {
				ok, nth := table.AllowNth(7, time.Hour, n)
				if ok {
					taken.Add(1)
				}
				if nth {
					nths.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if taken.Load() != perSecond {
		t.Errorf("%d taken at once, want the burst of %d", taken.Load(), perSecond)
	}
	if want := int64(threads*tries-perSecond) / n; nths.Load() != want {
		t.Errorf("%d n-th refusals, want %d", nths.Load(), want)
	}
}

// Threads that use a new key at the same time share the key's rate.
func TestThreadsWithANewKey(t *testing.T) {
	const threads, perSecond = 4, 3
	table := NewTable(perSecond)
	for key := range uint64(20_000) {
		var taken atomic.Int64
		var ready, wait sync.WaitGroup
		ready.Add(threads)
		for range threads {
			wait.Go(func() {
				ready.Done()
				ready.Wait()
				for range perSecond {
					if table.Allow(key<<32, time.Duration(key+1)*time.Hour) { // all slots are free again at that time
						taken.Add(1)
					}
				}
			})
		}
		wait.Wait()
		if taken.Load() != perSecond {
			t.Fatalf("key %d: %d taken at once, want the burst of %d", key, taken.Load(), perSecond)
		}
	}
}

// A new key is allowed in a full table, and a key far above its limit is not forgotten.
func TestFull(t *testing.T) {
	const perSecond = 100
	table := NewTable(perSecond)
	random := rand.New(rand.NewPCG(1, 2))
	now, taken, refused := time.Hour, 0, 0
	const seconds, events = 2, 200_000 // a second: 2,000 slots in use
	for i := range seconds * events {
		now += time.Second / events
		if i%20 == 0 { // 10,000 a second
			if table.Allow(42, now) {
				taken++
			}
			continue
		}
		if !table.Allow(random.Uint64(), now) {
			refused++
		}
	}
	if want := perSecond + seconds*perSecond; taken > want || taken < want-1 {
		t.Errorf("%d taken of a key at 100 times its limit, want %d", taken, want)
	}
	if refused > 0 {
		t.Errorf("%d refused of keys with one event each", refused)
	}
}

// With more keys than slots the error is bounded: no key within its limit is refused, and a
// forgotten key gets one burst too much.
func TestOverfull(t *testing.T) {
	table := NewTable(1)
	for key := range uint64(3 * ways) { // all in one set
		if !table.Allow(key<<1, time.Hour) {
			t.Fatalf("key %d is refused its first event", key)
		}
		if table.Allow(key<<1, time.Hour) {
			t.Fatalf("key %d gets two at a limit of one", key)
		}
	}
	again := 0
	for key := range uint64(3 * ways) {
		if table.Allow(key<<1, time.Hour) {
			again++
		}
	}
	if want := 2*ways + 1; again != want { // keys without a slot, and the key that lost its slot
		t.Errorf("%d of %d keys get their burst again, want %d", again, 3*ways, want)
	}
}

func TestNoAllocation(t *testing.T) {
	table := NewTable(1)
	key := uint64(0)
	if n := testing.AllocsPerRun(1000, func() {
		key += 1 << 31
		table.Allow(key, time.Hour)
		table.AllowNth(key, time.Hour, 2)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	for _, keys := range []uint64{1, 4096, 1 << 20} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			table := NewTable(1000)
			now, i := time.Hour, uint64(0)
			for b.Loop() {
				table.Allow(i%keys*0x9e3779b97f4a7c15, now)
				i++
				now += 250
			}
		})
	}
}
