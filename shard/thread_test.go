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

// A group yields and reads on again and again, while datagrams come to one of its shards and
// none to others: each is handled once, in its order.
func TestYieldingAgainAndAgain(t *testing.T) {
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
		for _, f := range r.yield(t) {
			f.Close()
		}
	}
	r := run(t, g)
	eventually(t, "all have come", func() bool { return total(g).Received == uint64(sent) && last.Load() == int64(sent) })
	if disorder.Load() {
		t.Error("datagrams were handled in another order")
	}
	for _, f := range r.yield(t) {
		f.Close()
	}
	for _, one := range g.Listener().Read() {
		if one.CPUTime > time.Since(began) {
			t.Errorf("shard %d has used %s of CPU time in %s", one.Shard, one.CPUTime, time.Since(began))
		}
	}
	g.Close()
}

// A shard to which nothing comes is stopped, and reads on, without waiting for its thread.
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
	for _, f := range r.yield(t) {
		f.Close()
	}
	for _, page := range g.Listener().Shards {
		if page.Thread() != 0 {
			t.Errorf("shard %d has thread %d", page.Index, page.Thread())
		}
	}
}

// A group says since when all its shards read, and not before.
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
	for _, f := range r.yield(t) {
		f.Close()
	}
	g.Close()
}

// A group that is closed before it reads leaves no thread behind: goleak tells. Its port is free
// at once, which it is not while a thread waits at a socket.
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

// A group that takes over as many shards as there were puts its steering into force when it
// reads, and says until then that it does not know what is.
func TestSteeringIsSetWhenTheGroupReads(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{Mode: steer.Hash}})
	defer first.Close()
	next, err := run(t, first).heir(t, Config{Address: first.Addr().String(), Shards: 2,
		Steering: Steering{Mode: steer.Spray, StallAfter: -1}})
	if err != nil {
		t.Fatal(err)
	}
	put, attached := next.steerer.put, 0
	next.steerer.put = func(fd int, program []bpf.RawInstruction) error {
		attached++
		return put(fd, program)
	}
	adopt(t, next)
	if told := next.Listener().Steering(); told.Mode != "spray" || told.InForce != "" || attached > 0 {
		t.Errorf("%s asked for, %q in force, %d programs", told.Mode, told.InForce, attached)
	}
	r := run(t, next)
	eventually(t, "it is in force", func() bool { return next.Listener().Steering().InForce == "spray" })
	for _, f := range r.yield(t) {
		f.Close()
	}
	if attached == 0 {
		t.Error("no program was attached")
	}
	next.Close()
}

// Ps are reserved for as many shards as are open at a time, and given back with the last.
func TestReservedPs(t *testing.T) {
	at, most := runtime.GOMAXPROCS(0), mostReserved
	defer func() { mostReserved = most }()
	mostReserved = 5
	for _, step := range []struct {
		more    int // shards
		want    int // Ps more than at first
		crowded bool
	}{{2, 2, false}, {2, 4, false}, {-2, 4, false}, {2, 4, false}, {3, 5, true}, {-3, 5, false}, {-4, 0, false}} {
		if step.more > 0 {
			reserve(step.more)
		} else {
			release(-step.more)
		}
		if got := runtime.GOMAXPROCS(0) - at; got != step.want || crowded.Load() != step.crowded {
			t.Errorf("%+d shards: %d Ps more, crowded %t; want %+v", step.more, got, crowded.Load(), step)
		}
	}
}

// batches is a sink that counts the records that it was given, and that it has handed on.
type batches struct {
	page            *metrics.Shard
	records, handed atomic.Uint64
}

func (b *batches) Buffer() []byte { return nil }
func (b *batches) Commit([]byte)  { b.records.Add(1) }
func (b *batches) Flush() {
	n := b.records.Load() - b.handed.Load()
	b.handed.Add(n)
	b.page.Delivered.Add(n)
}

// Shards without a P of their own read all the same, and hand their records on as soon as others.
func TestMoreShardsThanPs(t *testing.T) {
	most := mostReserved
	defer func() { mostReserved = most }()
	mostReserved = 1
	g, stop := start(t, Config{Address: "127.0.0.1:0", Shards: 4,
		Handler: func(shard int) packet.Handler { return packet.NewRaw("x", shard) },
		Sink:    func(_ int, page *metrics.Shard) (packet.Sink, error) { return &batches{page: page}, nil }})
	if !crowded.Load() {
		t.Fatal("there are as many Ps as shards")
	}
	conn := dial(t, g.Addr().String())
	for i := range 5 {
		conn.Write([]byte("x"))
		eventually(t, "its record is handed on", func() bool { return total(g).Delivered == uint64(i+1) })
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// With many groups the list of all sockets is read a few times, not once for each.
func TestTheListOfSocketsIsShared(t *testing.T) {
	now := time.Now().Add(time.Hour) // no list of another test's is as old
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	defer g.Close()
	if g.shared(now, portsAge) {
		t.Fatal("it shares its port")
	}
	other := open(t, Config{Address: g.Addr().String(), Shards: 1, Join: true})
	defer other.Close()
	if g.shared(now.Add(portsAge/2), portsAge) {
		t.Error("the list was read again within its age")
	}
	eventually(t, "another process shares the port", func() bool { return g.shared(now.Add(portsAge/2), 0) }) // /proc/net/udp can miss one
}
