package takeover

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/leak"
)

func TestSilentSuccessor(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t, 1), func(s *Server) { s.limits.step = 250 * time.Millisecond })
	c := dial(t, v.Path())
	if err := c.Wait(testContext(t)); err == nil || !strings.Contains(err.Error(), ErrNoAnswer.Error()) {
		t.Errorf("no hello: %v", err)
	}
	a := newActive(t, 1)
	v = start(t, a, func(s *Server) { s.limits.step, s.limits.commit = 2*time.Second, 250*time.Millisecond })
	c, _ = join(t, v.Path(), Successor)
	time.Sleep(v.limits.step + v.limits.step/4) // a successor may prepare for longer than any step
	if err := c.Ready(testContext(t)); err != nil {
		t.Fatal(err)
	}
	a.waitForCall("resume")
	_, err := c.Commit(testContext(t))
	if refused := new(RefusedError); !errors.As(err, &refused) || !strings.Contains(err.Error(), `no "mine" within`) {
		t.Errorf("no commit: %v", err)
	}
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "resume"}) {
		t.Error(got)
	}
}

// fakeActive is an active process whose part the test plays: f serves the first connection.
func fakeActive(t *testing.T, f func(w *wire)) (*Conn, chan struct{}) {
	t.Helper()
	path := t.TempDir() + "/takeover.sock"
	s, err := Listen(path, "0.9")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.Close()
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		w, err := newWire(conn, "0.9", standardLimits)
		if err != nil {
			t.Error(err)
			return
		}
		f(w)
	}()
	c := dial(t, path)
	t.Cleanup(func() { <-done })
	return c, done
}

// succeed takes over as a successor, as far as possible.
func succeed(ctx context.Context, c *Conn) (*Server, error) {
	o, err := c.Hello(ctx, Hello{Version: "1.1", Role: Successor})
	if err != nil {
		return nil, err
	}
	defer o.Close()
	if err := c.Ready(ctx); err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Commit(ctx)
}

func TestActiveProcessDies(t *testing.T) {
	ctx := context.Background()
	hello := func(w *wire) { w.receiveHello(ctx) }
	offer := func(w *wire) { w.send(ctx, message{Kind: kindOffer}) }
	ready := func(w *wire) { w.expect(ctx, kindReady) }
	grant := func(w *wire) {
		l, _ := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket"}) // of no path: any listening socket will do
		f, _ := l.File()
		w.send(ctx, message{Kind: kindGrant}, f)
		f.Close()
		l.Close()
	}
	commit := func(w *wire) { w.expect(ctx, kindCommit) }
	committed := func(w *wire) { w.send(ctx, message{Kind: kindCommitted}) }
	steps := []struct {
		name string
		do   func(*wire)
	}{
		{"at once", func(*wire) {}}, {"after hello", hello},
		{"in its offer", func(w *wire) { w.send(ctx, message{Kind: kindOffer, Listeners: 1}) }},
		{"in a listener", func(w *wire) { w.send(ctx, message{Kind: kindListener, Sockets: 1}) }},
	}
	for i := range steps {
		t.Run(steps[i].name, func(t *testing.T) {
			leak.Descriptors(t)
			c, _ := fakeActive(t, func(w *wire) {
				for _, s := range steps[:i+1] {
					s.do(w)
				}
			})
			_, err := succeed(testContext(t), c)
			wantError(t, err, ErrDisconnected)
		})
	}
	whole := []func(*wire){hello, offer, ready, grant, commit, committed}
	for i := range whole {
		t.Run([]string{"hello", "offer", "ready", "grant", "commit", "committed"}[i], func(t *testing.T) {
			leak.Descriptors(t)
			c, _ := fakeActive(t, func(w *wire) {
				for _, do := range whole[:i+1] {
					do(w)
				}
			})
			s, err := succeed(testContext(t), c)
			if i == len(whole)-1 {
				if err != nil {
					t.Fatal(err)
				}
				s.listener.Close()
				return
			}
			wantError(t, err, ErrDisconnected)
		})
	}
}

// committed is sent just as the successor gives up waiting: both processes agree whether the
// takeover has happened.
func TestCommittedAsTheSuccessorGivesUp(t *testing.T) {
	leak.Descriptors(t)
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		var committed error
		c, done := fakeActive(t, func(w *wire) {
			bg := context.Background()
			w.receiveHello(bg)
			w.send(bg, message{Kind: kindOffer})
			w.expect(bg, kindReady)
			l, _ := net.ListenUnix("unixpacket", &net.UnixAddr{Net: "unixpacket"})
			f, _ := l.File()
			w.send(bg, message{Kind: kindGrant}, f)
			f.Close()
			l.Close()
			if _, err := w.expect(bg, kindCommit); err != nil {
				committed = err
				return
			}
			go cancel()
			committed = w.send(bg, message{Kind: kindCommitted})
		})
		s, err := succeed(ctx, c)
		<-done
		cancel()
		if (err == nil) != (committed == nil) {
			t.Fatalf("Commit returned %v, sending committed %v", err, committed)
		}
		if s != nil {
			s.listener.Close()
		}
		c.Close()
	}
}

// A last message is received although the sender closed the connection with unread messages.
func TestLastMessageIsReceived(t *testing.T) {
	leak.Descriptors(t)
	c, done := fakeActive(t, func(w *wire) {
		raw, err := w.conn.SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		raw.Read(func(fd uintptr) bool { // until hello has arrived
			n, _, _ := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
			return n > 0
		})
		w.send(context.Background(), message{Kind: kindRefused, Reason: "not now"})
	})
	if err := c.sendHello(testContext(t), Hello{Role: Standby}); err != nil {
		t.Fatal(err)
	}
	<-done
	_, err := c.Hello(testContext(t), Hello{Role: Standby})
	wantRefusal(t, err)
}

func TestContextEndsWaiting(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	c, _ := join(t, v.Path(), Standby)
	a.waitForPeers(v, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantError(t, c.Wait(ctx), context.Canceled)
	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	wantError(t, c.Wait(ctx), context.DeadlineExceeded)
	// A canceled Wait may be called again.
	passed := make(chan error, 1)
	go func() { passed <- v.HandOver(testContext(t)) }()
	if err := c.Wait(testContext(t)); err != nil {
		t.Fatal(err)
	}
	commitTakeover(t, c).Close()
	wantError(t, result(t, passed), nil)
}

func TestServeEnds(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	standby, _ := join(t, v.Path(), Standby)
	successor, _ := join(t, v.Path(), Successor)
	dial(t, v.Path())
	v.stop()
	wantError(t, result(t, v.ended), context.Canceled)
	if err := standby.Wait(testContext(t)); err == nil {
		t.Error("a standby got a grant")
	}
	if err := successor.Ready(testContext(t)); err == nil {
		t.Error("a successor got a grant")
	}
	if got := a.calls(); got != nil {
		t.Error(got)
	}
}

// Close during a handover: both processes agree that the takeover has failed.
func TestCloseDuringHandover(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.quiesceUntilCanceled()
	v := start(t, a)
	c, _ := join(t, v.Path(), Successor)
	ready := make(chan error, 1)
	go func() { ready <- c.Ready(testContext(t)) }()
	a.waitForCall("quiesce")
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, result(t, v.ended), net.ErrClosed)
	if err := result(t, ready); err == nil {
		t.Error("the successor got a grant")
	}
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "resume"}) {
		t.Error(got)
	}
}
