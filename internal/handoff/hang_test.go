package handoff

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
	"golang.org/x/sys/unix"
)

// A shard without heartbeat hangs if its thread sleeps or runs. A shard without a thread, and a
// shard whose thread is ready to run and gets no CPU, do not hang.
func TestHangingShards(t *testing.T) {
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
		counters := metrics.NewShard(i, 0)
		counters.Heartbeat(time.Now().Add(-2 * HangTimeout))
		if thread != 0 {
			counters.StartThread(thread, 0)
		}
		l.Shards = append(l.Shards, counters)
	}
	ledger.Add(l)
	detector := NewHangDetector(ledger)
	if hanging, more := detector.Check(time.Now()); hanging != nil || !more {
		t.Errorf("at the first check: %v, %t", hanging, more)
	}
	eventually(t, "two shards hang", func() bool { // when the running thread has got some CPU time
		hanging, _ := detector.Check(time.Now())
		return len(hanging) == 2 && hanging[0].Shard.Index == 1 && hanging[1].Shard.Index == 2
	})
	l.Shards[1].Heartbeat(time.Now())
	hanging, _ := detector.Check(time.Now())
	if len(hanging) > 1 || len(hanging) == 1 && hanging[0].Shard.Index != 2 {
		t.Errorf("after a heartbeat of shard 1: %v", hanging)
	}
	ready, sleeping := threadState{'R', 7, 3}, threadState{'S', 7, 3}
	if !ready.starved(ready) || ready.starved(threadState{'R', 7, 2}) || sleeping.starved(sleeping) {
		t.Error("a starved thread is ready to run, and has not run")
	}
}

// eventually waits until a condition holds, for at most 30 seconds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
