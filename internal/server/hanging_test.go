package server

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
	"golang.org/x/sys/unix"
)

// A shard hangs if its thread sleeps, or runs, and shows no sign of life; not if it has no
// thread yet, nor if the thread is ready to run and gets no CPU.
func TestWhatHangs(t *testing.T) {
	threads, quit := make(chan int), make(chan struct{})
	var stop atomic.Bool
	var all sync.WaitGroup
	defer all.Wait()
	defer close(quit)
	defer stop.Store(true)
	all.Go(func() {
		runtime.LockOSThread()
		threads <- unix.Gettid()
		<-quit
	})
	sleeps := <-threads
	all.Go(func() {
		runtime.LockOSThread()
		threads <- unix.Gettid()
		for !stop.Load() {
		}
	})
	ledger, l := metrics.NewLedger(""), &metrics.Listener{Name: "raw"}
	for i, thread := range []int{0, sleeps, <-threads} {
		page := metrics.NewShard(i, 0)
		page.Heartbeat(time.Now().Add(-2 * hangTimeout))
		if thread != 0 {
			page.StartThread(thread, 0)
		}
		l.Shards = append(l.Shards, page)
	}
	ledger.Add(l)
	check := &hangCheck{ledger: ledger}
	if hanging, more := check.findHanging(time.Now()); hanging != nil || !more {
		t.Errorf("at the first look: %v, %t", hanging, more)
	}
	eventually(t, "two hang", func() bool { // as soon as the one that runs has got some CPU
		hanging, _ := check.findHanging(time.Now())
		return len(hanging) == 2 && hanging[0].Shard.Index == 1 && hanging[1].Shard.Index == 2
	})
	l.Shards[1].Heartbeat(time.Now())
	if hanging, _ := check.findHanging(time.Now()); len(hanging) > 1 || len(hanging) == 1 && hanging[0].Shard.Index != 2 {
		t.Errorf("of two of which one has come back: %v", hanging)
	}
	ready := threadState{'R', 7, 3}
	if !ready.starved(ready) || ready.starved(threadState{'R', 7, 2}) || (threadState{'S', 7, 3}).starved(threadState{'S', 7, 3}) {
		t.Error("what starves is ready to run, and has not run")
	}
}

// eventually waits until a condition holds, for 30 seconds at the most.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
