package shard

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// fencedGroup is a group of two shards whose shared counters have another owner.
func fencedGroup(t *testing.T) handle {
	t.Helper()
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: 2, Batch: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{Mode: steer.Source}}, countersOf(book))
	t.Cleanup(g.Close)
	if !book.AdvanceEpoch(metrics.FirstEpoch) {
		t.Fatal("not fenced")
	}
	return g
}

// A fenced group changes neither filter nor program nor options of the sockets, which are the new
// owner's.
func TestAFencedGroupLeavesTheSocketsUnchanged(t *testing.T) {
	g := fencedGroup(t)
	if err := g.rejectNew(); err != nil {
		t.Error(err)
	}
	for _, s := range g.shards {
		if n, err := sys.SocketFilter(s.fd); n != 0 || err != nil {
			t.Errorf("shard %d has a filter of %d instructions, %v", s.counters.Index, n, err)
		}
	}
	if err := sys.DetachProgram(g.shards[0].fd); err != nil {
		t.Fatal(err)
	}
	buffer, err := sys.ReceiveBuffer(g.shards[0].fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(g.shards[0].fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 9999); err != nil {
		t.Fatal(err)
	}
	if g.restore() == nil {
		t.Error("a fenced group was restored")
	}
	if now, err := sys.ReceiveBuffer(g.shards[0].fd); now == buffer || err != nil {
		t.Errorf("restore set the receive buffer to %d, %v", now, err)
	}
	if err := g.SetSteering(Steering{Mode: steer.Spray}); err == nil {
		t.Error("steering was changed")
	}
	if err := unix.SetsockoptInt(g.shards[0].fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0); err != unix.ENOENT {
		t.Errorf("a program was attached: %v", err)
	}
}

// A fenced group that still runs, since a shard waits for its output, detaches no filter.
func TestAFencedGroupDetachesNothing(t *testing.T) {
	g := fencedGroup(t)
	for _, s := range g.shards { // as the new owner does when it stops
		if err := sys.RejectNew(s.fd); err != nil {
			t.Fatal(err)
		}
	}
	var guard filterGuard
	for i := range 3 {
		g.tick(&guard, time.Now().Add(time.Duration(i)*10*time.Second))
	}
	for _, s := range g.shards {
		if n, err := sys.SocketFilter(s.fd); n == 0 || err != nil {
			t.Errorf("shard %d: the new owner's filter is detached, %v", s.counters.Index, err)
		}
	}
	if there, err := sys.RemoveProgram(g.shards[0].fd); !there || err != nil {
		t.Errorf("the new owner's program is detached, %v", err)
	}
}

// A group detaches a filter of another process: a fenced process may have attached the filter late.
// Until then the group is not ready.
func TestAFilterOfAnotherProcessIsDetached(t *testing.T) {
	var detached atomic.Int64
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2}, engine.Options{Event: func(e engine.Event) {
		if e.Filter && e.Err == nil {
			detached.Add(1)
		}
	}})
	ledger := metrics.NewLedger("test")
	ledger.Add(g.Listener())
	filtered := func() bool {
		for _, s := range g.shards {
			if (descriptor(s.fd)).Filtered() {
				return true
			}
		}
		return false
	}
	for _, s := range g.shards {
		if err := sys.RejectNew(s.fd); err != nil {
			t.Fatal(err)
		}
	}
	if !filtered() {
		t.Fatal("there is no filter")
	}
	if why := ledger.NotReady(g.began); len(why) < 4 {
		t.Errorf("ready behind a filter: %q", why)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	conn := dial(t, g.Addr().String())
	eventually(t, "datagrams come in", func() bool {
		conn.Write([]byte("x"))
		return total(g).Received > 0
	})
	eventually(t, "both filters are detached", func() bool { return !filtered() && detached.Load() == 2 })
	if n := g.Listener().Steering().Changes[string(steer.Unfiltering)]; n != 2 {
		t.Errorf("%d filters were counted", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A group that is about to end, or to hand over, keeps its own closing filter.
func TestTheOwnClosingFilterStays(t *testing.T) {
	for name, ending := range map[string]func(handle) *atomic.Bool{
		"stopping":  func(g handle) *atomic.Bool { return &g.stopping },
		"draining":  func(g handle) *atomic.Bool { return &g.draining },
		"quiescing": func(g handle) *atomic.Bool { return &g.quiescing },
	} {
		g := open(t, Config{Address: "127.0.0.1:0", Shards: 1})
		s := g.shards[0]
		if err := sys.RejectNew(s.fd); err != nil {
			t.Fatal(err)
		}
		var guard filterGuard
		ending(g).Store(true)
		guard.check(g.Group, time.Now())
		if n, err := sys.SocketFilter(s.fd); n == 0 || err != nil {
			t.Errorf("%s: the filter is detached, %v", name, err)
		}
		ending(g).Store(false)
		guard.check(g.Group, time.Now())
		if n, err := sys.SocketFilter(s.fd); n != 0 || err != nil {
			t.Errorf("not %s: there is a filter of %d instructions, %v", name, n, err)
		}
		g.Close()
	}
}

// A filter that can't be detached is tried again after filterRetryInterval.
func TestALockedFilterIsTriedAgain(t *testing.T) {
	var told events
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 1}, engine.Options{Event: told.add})
	defer g.Close()
	s := g.shards[0]
	if err := sys.RejectNew(s.fd); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
		t.Fatal(err)
	}
	var guard filterGuard
	now := time.Now()
	for tick := range 25 {
		guard.check(g.Group, now.Add(time.Duration(tick)*time.Second))
	}
	if len(told.list) != 3 || told.list[0].Err == nil || !told.list[0].Filter {
		t.Errorf("in 25 s %d events: %+v", len(told.list), told.list)
	}
}

// While surplus sockets are read, the counters of a shard have the drops of the shard's own socket:
// the drops of another socket would look like 2^32 new drops.
func TestReadingsDuringATakeover(t *testing.T) {
	for _, shards := range []int{1, 6} {
		first := open(t, Config{Address: "127.0.0.1:0", Shards: 4, ReceiveBuffer: 20_000})
		conn := dial(t, first.Addr().String())
		for _, s := range first.shards { // each socket drops a different number
			plan := first.attacher.initialPlan()
			plan.Mode = steer.Auto
			plan.Avoid = nil
			for i := range first.shards {
				if i != s.counters.Index {
					plan.Avoid = append(plan.Avoid, i)
				}
			}
			program, err := plan.Program()
			if err != nil {
				t.Fatal(err)
			}
			if err := sys.AttachProgram(first.shards[0].fd, program); err != nil {
				t.Fatal(err)
			}
			for range 400 * (4 - s.counters.Index) {
				conn.Write([]byte("x"))
			}
		}
		drops := total(first).Dropped.Kernel
		if drops == 0 {
			t.Fatal("nothing was dropped")
		}
		files, err := first.Sockets()
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		var readings atomic.Int64
		stop, stopped := make(chan struct{}), make(chan struct{})
		next := open(t, Config{Address: first.Addr().String(), Shards: shards, Batch: 1,
			Handler: func(int) packet.Handler {
				return packet.HandlerFunc(func(*packet.Batch) { // a reading of the ledger during each datagram
					n := readings.Load()
					for readings.Load() < n+2 {
						select {
						case <-stopped:
							return
						default:
						}
					}
				})
			}}, inherited(files, first.Seed()))
		closeFiles(files)
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if r := total(next); r.Dropped.Kernel > drops {
					t.Errorf("a reading has %d dropped by the kernel, where %d were", r.Dropped.Kernel, drops)
					return
				}
				readings.Add(1)
			}
		}()
		adopt(t, next)
		drainSurplus(t, next)
		close(stop)
		<-stopped
		next.Close()
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// Run closes a fenced group also after Quiesce.
func TestAFencedGroupIsClosedAfterQuiesce(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: 1, Batch: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	entered, hold := make(chan struct{}), make(chan struct{})
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 1,
		Handler: func(int) packet.Handler {
			return packet.HandlerFunc(func(*packet.Batch) {
				close(entered)
				<-hold
			})
		}}, countersOf(book))
	r := run(t, g)
	dial(t, g.Addr().String()).Write([]byte("x"))
	<-entered
	g.Quiesce()
	if !book.AdvanceEpoch(book.Epoch()) {
		t.Fatal("the counters have another owner already")
	}
	close(hold)
	if err := r.wait(t); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("%v", err)
	}
	if _, err := unix.FcntlInt(uintptr(g.shards[0].fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the socket is open: %v", err)
	}
}

// Run of a fenced group returns, and leaves the queues to the new owner.
func TestAFencedGroupReturns(t *testing.T) {
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: 2, Batch: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2}, countersOf(book))
	sockets, err := g.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, g)
	to := g.Addr().String()
	for range 16 {
		dial(t, to).Write([]byte("x"))
	}
	eventually(t, "all have come", func() bool { return total(g).Received == 16 })
	if !book.AdvanceEpoch(book.Epoch()) {
		t.Fatal("the counters have another owner already")
	}
	if err := r.wait(t); !errors.Is(err, engine.ErrFenced) || !strings.Contains(err.Error(), to) {
		t.Errorf("%v", err)
	}
	dial(t, to).Write([]byte("y")) // for the new owner
	next := open(t, Config{Address: to, Shards: 2}, inherited(sockets, g.Seed()))
	for _, f := range sockets {
		f.Close()
	}
	adopt(t, next)
	r = run(t, next)
	eventually(t, "the new owner has the datagram", func() bool { return total(next).Received == 1 })
	r.quiesce(t)
	r.Close()
}
