package shard

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// Quiesce and Run again and again, with datagrams at one shard only: each datagram is handled once,
// in order.
func TestQuiesceAgainAndAgain(t *testing.T) {
	var last atomic.Int64
	var disorder atomic.Bool
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 4, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			for _, d := range b.Datagrams {
				n := int64(d.Payload[0])<<16 | int64(d.Payload[1])<<8 | int64(d.Payload[2])
				if last.Swap(n) >= n {
					disorder.Store(true)
				}
			}
		})
	}})
	began := time.Now()
	conn := dial(t, g.Addr().String())
	sent := 0
	for range 200 {
		r := run(t, g)
		for range 1 + sent%5 {
			sent++
			conn.Write([]byte{byte(sent >> 16), byte(sent >> 8), byte(sent)})
		}
		if sent%3 == 0 {
			eventually(t, "it has come", func() bool { return total(g).Received == uint64(sent) })
		}
		for _, f := range r.quiesce(t) {
			f.Close()
		}
	}
	r := run(t, g)
	eventually(t, "all have come", func() bool { return total(g).Received == uint64(sent) && last.Load() == int64(sent) })
	if disorder.Load() {
		t.Error("datagrams were handled out of order")
	}
	for _, f := range r.quiesce(t) {
		f.Close()
	}
	for _, one := range g.Listener().Read() {
		if one.CPUTime > time.Since(began) {
			t.Errorf("shard %d has used %s of CPU time in %s", one.Shard, one.CPUTime, time.Since(began))
		}
	}
	g.Close()
}

// Quiesce stops shards without datagrams, and does not wait for their threads.
func TestIdleShardsStopAtOnce(t *testing.T) {
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	defer g.Close()
	r := run(t, g)
	eventually(t, "all wait", func() bool {
		for _, s := range g.shards {
			if s.state.Load() != stateWaiting {
				return false
			}
		}
		return true
	})
	for _, f := range r.quiesce(t) {
		f.Close()
	}
	for _, page := range g.Listener().Shards {
		if page.Thread() != 0 {
			t.Errorf("shard %d has thread %d", page.Index, page.Thread())
		}
	}
}

// ReadingSince returns the time at which the last shard began to read.
func TestReadingSince(t *testing.T) {
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 3})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if at, err := g.ReadingSince(ended); err != context.Canceled {
		t.Errorf("since %s; %v", at, err)
	}
	before := time.Now()
	r := run(t, g)
	at, err := g.ReadingSince(t.Context())
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("since %s; %v", at, err)
	}
	for _, page := range g.Listener().Shards {
		if page.Thread() == 0 || page.LastHeartbeat() == 0 {
			t.Errorf("shard %d does not read", page.Index)
		}
	}
	for _, f := range r.quiesce(t) {
		f.Close()
	}
	g.Close()
}

// Close before Run ends all threads (see goleak). The port is free at once: a thread that waits at
// a socket would keep the port.
func TestClosedBeforeItReads(t *testing.T) {
	for i := range 50 {
		g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
		if i%2 == 0 {
			dial(t, g.Addr().String()).Write([]byte("x"))
		}
		g.Close()
		again := open(t, Config{Address: g.Addr().String(), Shards: 1})
		again.Close()
	}
}

// A group that takes over as many sockets as it has shards sets its steering in Run. Until then the
// mode in force is not known.
func TestSteeringIsDeferredUntilRun(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{Mode: steer.Hash}})
	defer first.Close()
	next, err := run(t, first).successor(t, Config{Address: first.Addr().String(), Shards: 2,
		Steering: Steering{Mode: steer.Spray, StallAfter: -1}})
	if err != nil {
		t.Fatal(err)
	}
	put, attached := next.attacher.attachProgram, 0
	next.attacher.attachProgram = func(fd int, program []bpf.RawInstruction) error {
		attached++
		return put(fd, program)
	}
	adopt(t, next)
	if told := next.Listener().Steering(); told.Mode != "spray" || told.InForce != "" || attached > 0 {
		t.Errorf("%s asked for, %q in force, %d programs", told.Mode, told.InForce, attached)
	}
	r := run(t, next)
	eventually(t, "it is in force", func() bool { return next.Listener().Steering().InForce == "spray" })
	for _, f := range r.quiesce(t) {
		f.Close()
	}
	if attached == 0 {
		t.Error("no program was attached")
	}
	next.Close()
}

// Ps are reserved for the open shards, and released with the last group.
func TestReservedPs(t *testing.T) {
	at, most := runtime.GOMAXPROCS(0), maxReserved
	defer func() { maxReserved = most }()
	maxReserved = 5
	for _, step := range []struct {
		more    int // shards
		want    int // additional Ps
		crowded bool
	}{{2, 2, false}, {2, 4, false}, {-2, 4, false}, {2, 4, false}, {3, 5, true}, {-3, 5, false}, {-4, 0, false}} {
		if step.more > 0 {
			reserveProcs(step.more)
		} else {
			releaseProcs(-step.more)
		}
		if got := runtime.GOMAXPROCS(0) - at; got != step.want || procsScarce.Load() != step.crowded {
			t.Errorf("%+d shards: %d Ps more, crowded %t; want %+v", step.more, got, procsScarce.Load(), step)
		}
	}
}

// batches is a sink that counts committed and flushed records.
type batches struct {
	counters        *metrics.Shard
	records, handed atomic.Uint64
}

func (b *batches) Buffer() []byte { return nil }
func (b *batches) Commit([]byte)  { b.records.Add(1) }
func (b *batches) Flush() {
	n := b.records.Load() - b.handed.Load()
	b.handed.Add(n)
	b.counters.Delivered.Add(n)
}

// Shards without a P of their own read and flush records as soon as other shards.
func TestMoreShardsThanPs(t *testing.T) {
	most := maxReserved
	defer func() { maxReserved = most }()
	maxReserved = 1
	g, stop := start(t, Config{Address: "127.0.0.1:0", Shards: 4,
		Handler: func(shard int) packet.Handler { return packet.NewRaw("x", shard) },
		Sink:    func(_ int, counters *metrics.Shard) (packet.Sink, error) { return &batches{counters: counters}, nil }})
	if !procsScarce.Load() {
		t.Fatal("there are as many Ps as shards")
	}
	conn := dial(t, g.Addr().String())
	for i := range 5 {
		conn.Write([]byte("x"))
		eventually(t, "the record is flushed", func() bool { return total(g).Delivered == uint64(i+1) })
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// Groups share the list of all sockets.
func TestTheListOfSocketsIsShared(t *testing.T) {
	now := time.Now().Add(time.Hour) // later than the list of any other test
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	defer g.Close()
	if g.isShared(now, portsMaxAge) {
		t.Fatal("the port is shared")
	}
	other := open(t, Config{Address: g.Addr().String(), Shards: 1, Join: true})
	defer other.Close()
	if g.isShared(now.Add(portsMaxAge/2), portsMaxAge) {
		t.Error("the list was read again within its age")
	}
	eventually(t, "another process shares the port", func() bool { return g.isShared(now.Add(portsMaxAge/2), 0) }) // /proc/net/udp can miss a socket
}
