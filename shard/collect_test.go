package shard

import (
	"net"
	"runtime"
	"slices"
	"testing"
	"time"
)

// raceEnabled: the race detector makes collections many times slower.
var raceEnabled bool

// Threads in raw system calls must not keep the runtime from stopping the
// world: neither idle ones, nor busy ones, nor those that have just fallen
// idle. How long a collection takes is judged where the CPUs have time for
// it; flat out, its threads wait for their turn like all others.
func TestCollectionsBesideBusyAndIdleShards(t *testing.T) {
	t.Run("paced", func(t *testing.T) {
		median := collect(t, func() { time.Sleep(time.Millisecond) })
		if median > 10*time.Millisecond && !raceEnabled {
			t.Errorf("a collection takes %v in the median", median)
		}
	})
	t.Run("flat out", func(t *testing.T) { collect(t, func() {}) })
}

// collect forces collections beside 8 idle shards and 2 that get bursts, with
// a pause between them, and returns the median of what one takes.
func collect(t *testing.T, pause func()) time.Duration {
	idle, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 8})
	busy, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2})
	eventually(t, "all shards read", func() bool { return len(notReady(idle))+len(notReady(busy)) == 0 })

	var conns []*net.UDPConn
	for range 8 {
		conns = append(conns, dial(t, busy.Addr().String()))
	}
	done := make(chan struct{})
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		payload := make([]byte, 100)
		for {
			select {
			case <-done:
				return
			default:
			}
			for i := range 100 {
				conns[i%len(conns)].Write(payload)
			}
			pause()
		}
	}()
	eventually(t, "there is load", func() bool { return total(busy).Received > 1000 })

	took := make(chan []time.Duration)
	go func() {
		var times []time.Duration
		for range 50 {
			began := time.Now()
			runtime.GC()
			times = append(times, time.Since(began))
		}
		took <- times
	}()
	select {
	case times := <-took:
		close(done)
		<-sent
		slices.Sort(times)
		t.Logf("a collection took %v in the median, %v at the most", times[len(times)/2], times[len(times)-1])
		return times[len(times)/2]
	case <-time.After(time.Minute):
		t.Fatal("the world does not stop")
	}
	return 0
}
