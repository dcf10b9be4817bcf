package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/leak"
)

func TestUpgrade(t *testing.T) {
	for name, sockets := range map[string][]int{"two": {2}, "none": {}, "an empty listener": {1, 0, 3}, "600": {600}, "full messages": {253, 254, 1}} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			a := newActive(t, sockets...)
			v := start(t, a)
			a.memory.Counters.WriteString("12345")
			c, o := join(t, v.Path(), Successor)
			if o.Version != "1.0" || o.PID != os.Getpid() || string(o.Notes) != `{"later":1}` || o.Web != nil || len(o.Listeners) != len(sockets) {
				t.Errorf("offer: %+v", o)
			}
			sameMemory(t, o.Memory, a.memory)
			for i, l := range o.Listeners {
				if l.Name != string(rune('a'+i)) || l.Address != "127.0.0.1:5514" || l.Protocol != "raw" || l.Seed != 1<<32-1 || len(l.Sockets) != sockets[i] {
					t.Fatalf("listener %d: %s %s %s %d, %d sockets", i, l.Name, l.Address, l.Protocol, l.Seed, len(l.Sockets))
				}
				if has := i == 0 && sockets[i] > 0; has != (l.Stream != nil) || has && inode(t, l.Stream) != inode(t, a.sockets[0][0]) {
					t.Fatalf("listener %d: wrong stream socket", i)
				}
				for j, f := range l.Sockets {
					if inode(t, f) != inode(t, a.sockets[i][j]) {
						t.Fatalf("listener %d: wrong socket %d", i, j)
					}
				}
			}
			if h := a.receivedHellos()[0]; h.Version != "1.1" || h.PID != os.Getpid() || h.Role != Successor {
				t.Errorf("hello: %+v", h)
			}
			s := takeOver(t, c)
			if got := a.calls(); !slices.Equal(got, []string{"quiesce", "committed"}) {
				t.Errorf("called: %q", got)
			}
			if err := result(t, v.ended); err != nil {
				t.Error(err)
			}
			// The next successor finds the new process at the same path.
			b := newActive(t, 1)
			w := serve(t, s, b)
			c, o = join(t, v.Path(), Successor)
			if o.Version != "1.1" || len(o.Listeners) != 1 {
				t.Errorf("second offer: %+v", o)
			}
			s = takeOver(t, c)
			wantError(t, result(t, w.ended), nil)
			v.Close()
			w.Close()
			if _, err := os.Lstat(v.Path()); err != nil {
				t.Error("an old process removed the path:", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(v.Path()); !os.IsNotExist(err) {
				t.Error("the last process left the file:", err)
			}
		})
	}
}

func TestWebSocket(t *testing.T) {
	leak.Descriptors(t)
	a := &offersWeb{newActive(t, 1), udpSocket(t)}
	t.Cleanup(func() { a.web.Close() })
	v := start(t, a)
	_, o := join(t, v.Path(), Standby)
	if o.Web == nil || inode(t, o.Web) != inode(t, a.web) {
		t.Errorf("offer: %+v", o)
	}
	sameMemory(t, o.Memory, a.memory)
}

type offersWeb struct {
	*active
	web *os.File
}

func (a *offersWeb) Offer(h Hello) (Offer, error) {
	o, err := a.active.Offer(h)
	o.Web = duplicate(a.web)
	return o, err
}

func TestRefusalHasHint(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.refusal = hinted{errors.New("it has 4 shards, and 2 are wanted"), "give it --shards 4"}
	v := start(t, a)
	c := dial(t, v.Path())
	_, err := c.Hello(testContext(t), Hello{Role: Successor})
	var refused *RefusedError
	if !errors.As(err, &refused) || refused.Hint() != "give it --shards 4" || err.Error() != "the active udpshard 1.0 refuses: it has 4 shards, and 2 are wanted" {
		t.Errorf("%v", err)
	}
}

func TestOneSuccessorAtATime(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	v := start(t, a)
	first, _ := join(t, v.Path(), Successor)
	_, err := dial(t, v.Path()).Hello(testContext(t), Hello{Role: Successor})
	if err == nil || !strings.Contains(err.Error(), "is taking over") {
		t.Error(err)
	}
	takeOver(t, first).Close()
}

// A successor that dies, at any point, changes nothing.
func TestSuccessorDies(t *testing.T) {
	deaths := []struct {
		name string
		dies func(t *testing.T, a *active, c *Conn)
		want []string
	}{
		{"before hello", func(t *testing.T, a *active, c *Conn) {}, nil},
		{"after hello", func(t *testing.T, a *active, c *Conn) { c.sendHello(testContext(t), Hello{Role: Successor}) }, []string{"failed"}},
		{"after the offer", func(t *testing.T, a *active, c *Conn) { sayHello(t, c) }, []string{"failed"}},
		{"as it is ready", func(t *testing.T, a *active, c *Conn) {
			a.onQuiesce(func(ctx context.Context) error {
				c.Close()
				<-ctx.Done()
				return ctx.Err()
			})
			sayHello(t, c)
			c.Ready(testContext(t))
		}, []string{"quiesce", "resume"}},
		{"as all is flushed", func(t *testing.T, a *active, c *Conn) {
			a.onQuiesce(func(ctx context.Context) error {
				c.Close()
				<-ctx.Done()
				return nil
			})
			sayHello(t, c)
			c.Ready(testContext(t))
		}, []string{"quiesce", "resume"}},
		{"after grant", func(t *testing.T, a *active, c *Conn) {
			sayHello(t, c)
			if err := c.Ready(testContext(t)); err != nil {
				t.Error(err)
			}
		}, []string{"quiesce", "resume"}},
		{"with nonsense", func(t *testing.T, a *active, c *Conn) {
			sayHello(t, c)
			c.Ready(testContext(t))
			c.send(testContext(t), message{Kind: kindHello})
			wantRefusal(t, c.Wait(testContext(t)))
		}, []string{"quiesce", "resume"}},
		{"out of turn", func(t *testing.T, a *active, c *Conn) {
			sayHello(t, c)
			c.send(testContext(t), message{Kind: kindCommit})
			wantRefusal(t, c.Wait(testContext(t)))
		}, []string{"failed"}},
		{"talking too much", func(t *testing.T, a *active, c *Conn) {
			release := make(chan struct{})
			a.onQuiesce(func(ctx context.Context) error {
				close(release)
				<-ctx.Done()
				return ctx.Err()
			})
			sayHello(t, c)
			c.send(testContext(t), message{Kind: kindReady})
			<-release
			for c.send(testContext(t), message{Kind: kindReady}) == nil {
			}
		}, []string{"quiesce", "resume"}},
	}
	for _, death := range deaths {
		t.Run(death.name, func(t *testing.T) {
			leak.Descriptors(t)
			a := newActive(t, 2)
			v := start(t, a)
			c := dial(t, v.Path())
			death.dies(t, a, c)
			c.Close()
			if death.want != nil {
				a.waitForCall(death.want[len(death.want)-1])
			}
			if got := a.calls(); !slices.Equal(got, death.want) {
				t.Errorf("called: %q, want %q", got, death.want)
			}
			a.onQuiesce(nil)
			// The next successor takes over, as soon as the end of the first is noticed.
			for {
				next := dial(t, v.Path())
				o, err := next.Hello(testContext(t), Hello{Role: Successor})
				if refused := new(RefusedError); errors.As(err, &refused) && strings.Contains(err.Error(), "is taking over") {
					next.Close()
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				if len(o.Listeners[0].Sockets) != 2 {
					t.Errorf("%+v", o)
				}
				o.Close()
				takeOver(t, next).Close()
				break
			}
			wantError(t, result(t, v.ended), nil)
		})
	}
}

func wantRefusal(t *testing.T, err error) {
	t.Helper()
	if refused := new(RefusedError); !errors.As(err, &refused) {
		t.Errorf("%v, want a refusal", err)
	}
}

func sayHello(t *testing.T, c *Conn) {
	t.Helper()
	o, err := c.Hello(testContext(t), Hello{Role: Successor})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
}

// A successor that dies as it sends commit has taken over, or has not, but never both.
func TestSuccessorDiesAsItCommits(t *testing.T) {
	for range 20 {
		a := newActive(t, 1)
		v := start(t, a)
		c := dial(t, v.Path())
		sayHello(t, c)
		if err := c.Ready(testContext(t)); err != nil {
			t.Fatal(err)
		}
		c.send(testContext(t), message{Kind: kindCommit})
		c.Close()
		a.waitForCall("quiesce")
		end := <-a.changes
		if end != "committed" && end != "resume" {
			t.Fatal(end)
		}
		v.stop()
		if err := result(t, v.ended); (err == nil) != (end == "committed") {
			t.Errorf("%s, and then %v", end, err)
		}
	}
}

// A process that is ending refuses no peer: the peer sees the end of the connection, and competes
// for the lease.
func TestQuiesceOfEndingProcess(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.onQuiesce(func(context.Context) error { return fmt.Errorf("shutting down: %w", net.ErrClosed) })
	v := start(t, a)
	c, _ := join(t, v.Path(), Successor)
	wantError(t, c.Ready(testContext(t)), ErrDisconnected)
}

func TestQuiesceFails(t *testing.T) {
	leak.Descriptors(t)
	a := newActive(t, 1)
	a.onQuiesce(func(context.Context) error { return errors.New("the disk is full") })
	v := start(t, a)
	c, _ := join(t, v.Path(), Successor)
	err := c.Ready(testContext(t))
	if err == nil || !strings.Contains(err.Error(), "can't stop reading: the disk is full") {
		t.Error(err)
	}
	if got := a.calls(); !slices.Equal(got, []string{"quiesce", "resume"}) {
		t.Error(got)
	}
}
