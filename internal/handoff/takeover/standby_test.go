package takeover

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/leak"
)

// late makes its offer to who comes second when it is told to.
type lateOffer struct {
	*active
	offers atomic.Int32
	goOn   chan struct{}
}

func (l *lateOffer) Offer(h Hello) (Offer, error) {
	if l.offers.Add(1) == 2 {
		<-l.goOn
	}
	return l.active.Offer(h)
}

// A standby that gets its offer when another process has taken over by then is told
// of it like those that wait.
func TestAStandbyThatComesAsAnotherTakesOver(t *testing.T) {
	leak.Descriptors(t)
	a := &lateOffer{active: newActive(t, 1), goOn: make(chan struct{})}
	v := start(t, a)
	counts := newMemory(t)
	defer counts.Close()
	successor, _ := join(t, v.Path(), Successor)
	successor.SetMemory(counts)
	standby := dial(t, v.Path())
	offered := make(chan error, 1)
	go func() {
		o, err := standby.Hello(testContext(t), Hello{Role: Standby})
		o.Close()
		offered <- err
	}()
	for ctx := testContext(t); a.offers.Load() < 2; {
		if ctx.Err() != nil {
			t.Fatal("the standby asks for no offer")
		}
	}
	defer takeOver(t, successor).Close()
	close(a.goOn)
	wantError(t, result(t, offered), nil)
	wantError(t, standby.Wait(testContext(t)), ErrRedirected)
	h := standby.Announcement()
	if h.PID != os.Getpid() {
		t.Errorf("%+v", h)
	}
	sameMemory(t, h.Memory, counts)
	h.Memory.Close()
	wantError(t, result(t, v.ended), nil)
}

func TestPassToStandbys(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 2)
	v := start(t, a)
	wantError(t, v.HandOver(testContext(t)), ErrNoStandby)
	counts := newMemory(t)
	defer counts.Close()
	first, _ := join(t, v.Path(), Standby)
	first.SetMemory(counts)
	a.waitForPeers(v, 1)
	second, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 2)
	preparing, _ := join(t, v.Path(), Successor)
	a.waitForPeers(v, 3)

	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	if err := first.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	s := commitTakeover(t, first)
	wantError(t, result(t, passed), nil)
	wantError(t, second.Wait(testContext(t)), ErrRedirected)
	wantError(t, preparing.Ready(testContext(t)), ErrRedirected)
	for _, c := range []*Conn{second, preparing} { // should the new one die before it answers
		h := c.Announcement()
		if h.PID != os.Getpid() {
			t.Errorf("%+v", h)
		}
		sameMemory(t, h.Memory, counts)
		h.Memory.Close()
		if h := c.Announcement(); h != (Announcement{}) {
			t.Errorf("%+v is given twice", h)
		}
	}
	wantError(t, result(t, v.ended), nil)
	wantError(t, v.HandOver(testContext(t)), nil)

	// Who dials before the new one serves is answered by it.
	again := dial(t, v.Path())
	w := serve(t, s, newActive(t, 1))
	o, err := again.Hello(testContext(t), Hello{Role: Standby})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	w.stop()
	wantError(t, again.Wait(testContext(t)), ErrDisconnected)
}

// waitFor waits until so many are in the queue, which is joined a moment after
// the offer.
func (a *active) waitForPeers(v served, n int) {
	a.t.Helper()
	waiting := func() int {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.waiting)
	}
	for ctx := testContext(a.t); waiting() != n; runtime.Gosched() {
		if ctx.Err() != nil {
			a.t.Fatalf("%d wait, want %d", waiting(), n)
		}
	}
}

func TestSuccessorBeforeStandbys(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	successor, _ := join(t, v.Path(), Successor)
	takeOver(t, successor).Close()
	wantError(t, standby.Wait(testContext(t)), ErrRedirected)
	if h := standby.Announcement(); h.PID != os.Getpid() || h.Memory.Files() != nil {
		t.Errorf("%+v of one that has no counters", h)
	}
}

// A standby that is stopped does not keep the next one from taking over.
func TestStoppedStandby(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	// The one that is asked next has as long.
	v := start(t, a, func(s *Server) { s.limits.prepare = 3 * time.Second })
	stopped, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	dead, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 2)
	next, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 3)
	dead.Close()
	a.waitForPeers(v, 2)
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	if err := next.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	commitTakeover(t, next).Close()
	wantError(t, result(t, passed), nil)
	if got := a.calls(); !slices.Equal(got, []string{"yield", "left"}) {
		t.Error(got)
	}
	if err := stopped.Wait(testContext(t)); err == nil {
		t.Error("two were told that they are active")
	}
}

// A standby that hangs after yours is given up, and the next one asked.
func TestStandbyHangs(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a, func(s *Server) { s.limits.commit = 250 * time.Millisecond })
	hangs, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	if err := hangs.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	wantError(t, result(t, passed), ErrNoStandby)
	if _, err := hangs.Commit(testContext(t)); err == nil {
		t.Error("it has taken over after all")
	}
	if got := a.calls(); !slices.Equal(got, []string{"yield", "resume"}) {
		t.Error(got)
	}
}

func TestPassThatCannotYield(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	full := errors.New("the disk is full")
	a.onQuiesce(func(context.Context) error { return full })
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	waits := make(chan error, 1)
	go func() { waits <- standby.Wait(testContext(t)) }()
	wantError(t, v.HandOver(testContext(t)), full)
	// It is not the standby's fault, and it waits on.
	a.onQuiesce(nil)
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	wantError(t, result(t, waits), nil)
	commitTakeover(t, standby).Close()
	wantError(t, result(t, passed), nil)
}

// The first standby dies while all is flushed for it: the next one gets it.
func TestStandbyDies(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	first, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	second, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 2)
	a.onQuiesce(func(ctx context.Context) error {
		a.onQuiesce(nil)
		first.Close()
		<-ctx.Done()
		return ctx.Err()
	})
	died := make(chan error, 1)
	go func() { died <- first.Wait(testContext(t)) }()
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	if err := second.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	commitTakeover(t, second).Close()
	wantError(t, result(t, passed), nil)
	wantError(t, result(t, died), ErrDisconnected)
	if got := a.calls(); !slices.Equal(got, []string{"yield", "resume", "yield", "left"}) {
		t.Error(got)
	}
}

func TestPassIsCancelled(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.onQuiesce(func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	waits := make(chan error, 1)
	go func() { waits <- standby.Wait(testContext(t)) }()
	ctx, cancel := context.WithCancel(context.Background())
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(ctx) }()
	a.waitForCall("yield")
	cancel()
	wantError(t, result(t, passed), context.Canceled)
	a.waitForCall("resume")
	v.stop()
	wantError(t, result(t, waits), ErrDisconnected)
}

// A successor and Pass at once: one of them gets it, and Pass is content.
func TestPassAndSuccessor(t *testing.T) {
	for range 10 {
		a := newActive(t, 1)
		v := start(t, a)
		standby, _ := join(t, v.Path(), Standby)
		a.waitForPeers(v, 1)
		successor, _ := join(t, v.Path(), Successor)
		passed, one, other := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { passed <- v.HandOver(testContext(t)) }()
		try := func(c *Conn, wait func(context.Context) error, ended chan<- error) {
			err := wait(testContext(t))
			if err == nil {
				var s *Server
				if s, err = c.Commit(testContext(t)); err == nil {
					c.Close()
					s.Close()
				}
			}
			ended <- err
		}
		go try(standby, standby.Wait, one)
		go try(successor, successor.Ready, other)
		wantError(t, result(t, passed), nil)
		a1, a2 := result(t, one), result(t, other)
		if (a1 == nil) == (a2 == nil) {
			t.Errorf("standby: %v; successor: %v", a1, a2)
		}
		wantError(t, result(t, v.ended), nil)
	}
}
