package shard

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// A vigil judges by what it has seen itself: a shard that does not come back to
// a queue that waits, for long enough.
func TestVigil(t *testing.T) {
	const after = 250 * time.Millisecond
	book, err := metrics.NewSharedCounters(metrics.Layout{Listener: bookListener, Shards: 1, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	page := book.Listeners()[0].Shards[0]
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 1})
	defer g.Close()
	sockets, err := g.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer sockets[0].Close()
	v := NewVigil([]*metrics.Shard{page}, sockets, after)
	now := time.Now()
	// look looks until so much time has passed, and returns when it was stuck.
	look := func(limit time.Duration) (stuck time.Duration) {
		for passed := time.Duration(0); passed < limit; passed += VigilTick(after) {
			now = now.Add(VigilTick(after))
			if text := v.Look(now); text != "" {
				if !strings.Contains(text, "shard 0 has not read for") {
					t.Error(text)
				}
				return passed
			}
		}
		return 0
	}
	expect := func(what string, stuck bool) {
		t.Helper()
		if got := look(2*after) > 0; got != stuck {
			t.Errorf("%s: stuck is %t", what, got)
		}
	}
	expect("it has not started", false)
	page.Heartbeat(time.Now())
	expect("nothing waits", false)
	dial(t, g.Addr().String()).Write([]byte("x"))
	page.Heartbeat(time.Now())
	if at := look(2 * after); at < after-2*VigilTick(after) || at > after+2*VigilTick(after) {
		t.Errorf("it is stuck after %s, not %s", at, after)
	}
	v.SetPatience(3 * after) // from its last sign of life on
	page.Heartbeat(time.Now())
	if at := look(6 * after); at < 3*after-2*VigilTick(after) || at > 3*after+2*VigilTick(after) {
		t.Errorf("with more patience it is stuck after %s, not %s", at, 3*after)
	}
	v.SetPatience(after)
	page.Heartbeat(time.Now())
	v.Look(now) // it has seen this sign of life, and the next look finds no later one
	now = now.Add(time.Hour)
	if text := v.Look(now); text != "" {
		t.Errorf("nobody looked for an hour: %s", text)
	}
	if at := look(2 * after); at < after-4*VigilTick(after) || at > after {
		t.Errorf("it is stuck %s after an hour in which nobody looked, not %s", at, after)
	}
	page.Heartbeat(time.Now())
	page.BeginOutputWait()
	for range 20 {
		page.KeepAlive()
		if at := look(after / 2); at > 0 {
			t.Errorf("it waits for its output, and is stuck after %s", at)
		}
	}
	expect("it waited for its output, and says so no longer", true)
	page.EndOutputWait()
	page.EndThread()
	expect("it has left its socket in order", false)
}

// A group that is to yield, and was replaced, has nothing to go on with.
func TestAReplacedGroupThatYieldsIsClosed(t *testing.T) {
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
		t.Fatal("the book has another owner already")
	}
	close(hold)
	if err := r.wait(t); !errors.Is(err, engine.ErrFenced) {
		t.Errorf("%v", err)
	}
	if _, err := unix.FcntlInt(uintptr(g.shards[0].fd), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the socket is open: %v", err)
	}
}

// A group whose book has another owner leaves its sockets alone.
func TestAReplacedGroupLeaves(t *testing.T) {
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
		t.Fatal("the book has another owner already")
	}
	if err := r.wait(t); !errors.Is(err, engine.ErrFenced) || !strings.Contains(err.Error(), to) {
		t.Errorf("%v", err)
	}
	dial(t, to).Write([]byte("y")) // the sockets are the other's, who reads on
	next := open(t, Config{Address: to, Shards: 2}, inherited(sockets, g.Seed()))
	for _, f := range sockets {
		f.Close()
	}
	adopt(t, next)
	r = run(t, next)
	eventually(t, "what was sent meanwhile has come", func() bool { return total(next).Received == 1 })
	r.yield(t)
	r.Close()
}
