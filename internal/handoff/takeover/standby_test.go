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

// lateOffer is an active process that makes its second offer only after resume.
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

// A standby that gets its offer after a takeover is redirected like waiting standbys.
func TestRedirectAfterOffer(t *testing.T) {
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

func TestHandOverToStandby(t *testing.T) {
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
	for _, c := range []*Conn{second, preparing} { // in case the new process dies before it answers
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

	// A peer that dials before the new process serves is answered by the new process.
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

// waitForPeers waits for n peers in the queue, which a peer joins a moment after its offer.
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
		t.Errorf("%+v of a process without counters", h)
	}
}

// A stopped standby does not keep the next standby from taking over.
func TestStoppedStandby(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	// the next standby has the same limit
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
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "committed"}) {
		t.Error(got)
	}
	if err := stopped.Wait(testContext(t)); err == nil {
		t.Error("two peers got a grant")
	}
}

// A standby that hangs after grant is given up.
func TestStandbyHangsAfterGrant(t *testing.T) {
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
		t.Error("Commit succeeded after the limit")
	}
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "resume"}) {
		t.Error(got)
	}
}

func TestHandOverWithoutQuiesce(t *testing.T) {
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
	// The standby is not at fault, and stays in the queue.
	a.onQuiesce(nil)
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	wantError(t, result(t, waits), nil)
	commitTakeover(t, standby).Close()
	wantError(t, result(t, passed), nil)
}

// The first standby dies during Quiesce: the next standby takes over.
func TestStandbyDiesDuringQuiesce(t *testing.T) {
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
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "resume", "quiesce", "committed"}) {
		t.Error(got)
	}
}

func TestHandOverIsCanceled(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.quiesceUntilCanceled()
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	waits := make(chan error, 1)
	go func() { waits <- standby.Wait(testContext(t)) }()
	ctx, cancel := context.WithCancel(context.Background())
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(ctx) }()
	a.waitForCall("quiesce")
	cancel()
	wantError(t, result(t, passed), context.Canceled)
	a.waitForCall("resume")
	v.stop()
	wantError(t, result(t, waits), ErrDisconnected)
}

// A successor and HandOver at once: either the successor or the standby takes over, and HandOver
// succeeds.
func TestHandOverAndSuccessor(t *testing.T) {
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
