package takeover

import (
	"math"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/leak"
)

func TestLease(t *testing.T) {
	leak.Descriptors(t)
	counters := memory(t)
	defer counters.Close()
	passed := duplicate(counters) // as in another process
	defer passed.Close()
	c, err := AcquireLease(counters, 7)
	if err != nil {
		t.Fatal(err)
	}
	_, err = AcquireLease(passed, 7)
	wantError(t, err, ErrLeaseHeld)
	next, err := AcquireLease(passed, 8)
	if err != nil {
		t.Fatal(err)
	}
	_, err = AcquireLease(counters, 8)
	wantError(t, err, ErrLeaseHeld)
	same, err := c.Control()
	if err != nil || inode(t, same) != inode(t, counters) {
		t.Error(err)
	}
	c.Release() // although another descriptor of the file is open
	handoff.CloseFiles(same)
	c.Release()
	again, err := AcquireLease(passed, 7)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	next.Release()
	for _, epoch := range []uint64{0, firstRegistration - 1} {
		c, err := AcquireLease(counters, epoch)
		if err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	for _, epoch := range []uint64{firstRegistration, math.MaxUint64} {
		if _, err := AcquireLease(counters, epoch); err == nil {
			t.Errorf("a lock tells epoch %d", epoch)
		}
	}
}

// Many processes follow the steps of Lease at once, and each becomes active in an epoch of its
// own.
func TestLeaseByManyProcesses(t *testing.T) {
	leak.Descriptors(t)
	counters := memory(t)
	defer counters.Close()
	var epoch atomic.Uint64
	var active, turns atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for done := false; !done; {
				done = becomeActive(t, shared{counters, &epoch}, func() {
					if active.Add(1) != 1 {
						t.Error("two are active")
					}
					turns.Add(1)
					active.Add(-1)
				})
			}
		})
	}
	all.Wait()
	if turns.Load() != 8 || epoch.Load() != 8 {
		t.Errorf("%d turns, epoch %d", turns.Load(), epoch.Load())
	}
}

type shared struct {
	memory *os.File
	epoch  *atomic.Uint64
}

// becomeActive follows the steps of Lease.
func becomeActive(t *testing.T, s shared, read func()) bool {
	e := s.epoch.Load()
	old, err := AcquireLease(s.memory, e)
	if err != nil {
		wantError(t, err, ErrLeaseHeld)
		return false
	}
	defer old.Release()
	own, err := AcquireLease(s.memory, e+1)
	if err != nil {
		wantError(t, err, ErrLeaseHeld)
		return false
	}
	defer own.Release()
	if !s.epoch.CompareAndSwap(e, e+1) {
		return false
	}
	read()
	return true
}
