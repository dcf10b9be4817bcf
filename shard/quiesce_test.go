package shard

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/packet"
)

// Resume cancels a Quiesce that waits for a hanging handler: the other shard reads again, and the
// shard with the hanging handler reads once the handler has returned.
func TestResumeCancelsQuiesce(t *testing.T) {
	hangs, hang := make(chan int, 1), make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	defer release()
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2, Handler: func(shard int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			if string(b.Datagrams[0].Payload) == "hang" {
				hangs <- shard
				<-hang
			}
		})
	}})
	if g.Resume() {
		t.Error("Resume of a group that does not run")
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	dial(t, g.Addr().String()).Write([]byte("hang"))
	other := g.shards[1-<-hangs]
	for range 3 {
		g.Quiesce()
		eventually(t, "the other shard has stopped", func() bool { return other.counters.Thread() == 0 })
		if !g.Resume() {
			t.Fatal("Run returns, though a shard hangs")
		}
		before := other.counters.Received.Load()
		var conns []*net.UDPConn
		for range 32 { // some flows are on the other shard
			conns = append(conns, dial(t, g.Addr().String()))
		}
		for _, c := range conns {
			c.Write([]byte("x"))
		}
		eventually(t, "the other shard reads again", func() bool { return other.counters.Received.Load() > before })
	}
	g.Quiesce()
	release()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if g.Resume() {
		t.Error("Resume after Run has returned")
	}
	go func() { ended <- g.Run(ctx) }()
	eventually(t, "all have come", func() bool { return total(g).Received == 1+3*32 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Resume at any time loses no datagram, and its result agrees with Run. A group that is stopped
// afterwards empties its queues.
func TestResumeAtAnyTime(t *testing.T) {
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	var sent atomic.Uint64
	var senders sync.WaitGroup
	quit := make(chan struct{})
	for range 4 {
		conn := dial(t, g.Addr().String())
		senders.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if sent.Load() < total(g).Received+1000 { // so that no queue is full
					if _, err := conn.Write([]byte("x")); err == nil {
						sent.Add(1)
					}
				}
			}
		})
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	run := func() { go func() { ended <- g.Run(ctx) }() }
	run()
	continued, returned := 0, 0
	for i := range 90 {
		eventually(t, "both read", func() bool {
			return g.shards[0].counters.LastHeartbeat() != 0 && g.shards[1].counters.LastHeartbeat() != 0
		})
		g.Quiesce()
		if i%3 > 0 {
			eventually(t, "one shard has stopped", func() bool { return g.shards[i%2].counters.Thread() == 0 })
		}
		if i%3 > 1 {
			eventually(t, "both shards have stopped", func() bool { return g.shards[1-i%2].counters.Thread() == 0 })
		}
		if g.Resume() {
			continued++
			continue
		}
		returned++
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		run()
	}
	close(quit)
	senders.Wait()
	g.Quiesce()
	if !g.Resume() {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		run()
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	t.Logf("Run continued %d times, and returned %d times", continued, returned)
	if r := total(g); r.Received != sent.Load() {
		t.Errorf("%d sent, %+v", sent.Load(), r)
	}
}
