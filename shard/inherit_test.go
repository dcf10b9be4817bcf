package shard

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard/steer"
)

// running is a group whose Run has been called.
type running struct {
	*Group
	ended chan error
}

func run(t *testing.T, g *Group) running {
	r := running{g, make(chan error, 1)}
	go func() { r.ended <- g.Run(context.Background()) }()
	return r
}

// yield stops it, and returns its sockets.
func (r running) yield(t *testing.T) []*os.File {
	t.Helper()
	r.Yield()
	if err := <-r.ended; err != nil {
		t.Fatal(err)
	}
	files, err := r.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// From group to group, with the same number of shards, with more and with
// fewer, in every mode, no datagram is lost.
func TestSocketsGoFromGroupToGroup(t *testing.T) {
	for _, mode := range steer.Modes {
		for _, counts := range [][]int{{2, 2, 2}, {2, 4, 1}, {3, 1, 2}, {1, 4, 3}} {
			t.Run(fmt.Sprint(mode, counts), func(t *testing.T) {
				first, err := Listen(Config{Address: "127.0.0.1:0", Shards: counts[0], Steering: Steering{Mode: mode}})
				if err != nil {
					t.Fatal(err)
				}
				var conns []*net.UDPConn
				for range 32 {
					conns = append(conns, dial(t, first.Addr().String()))
				}
				var sent, dropped atomic.Uint64 // dropped: at sockets that were given up
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for {
						for _, c := range conns {
							select {
							case <-stop:
								return
							default:
								if _, err := c.Write([]byte("x")); err != nil {
									t.Error(err)
								}
								sent.Add(1)
							}
						}
					}
				}()
				groups := []*Group{first}
				at := run(t, first)
				for _, shards := range counts[1:] {
					before := sent.Load()
					eventually(t, "there is load", func() bool { return sent.Load() >= before+2000 })
					files := at.yield(t)
					next, err := Listen(Config{Address: first.Addr().String(), Shards: shards, Steering: Steering{Mode: mode},
						Inherit: &Inheritance{Sockets: files, Seed: at.Seed()}})
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range files {
						f.Close()
					}
					at.Close()
					if err := next.TakeOver(func(s metrics.Socket) error {
						_, _, all, err := s.Memory()
						dropped.Add(uint64(all))
						return err
					}); err != nil {
						t.Fatal(err)
					}
					groups = append(groups, next)
					at = run(t, next)
				}
				close(stop)
				<-done
				// A page that no book continues tells of all that its socket ever dropped.
				received := func() uint64 {
					sum := dropped.Load() + total(at.Group).Dropped.Kernel
					for _, g := range groups {
						sum += total(g).Received
					}
					return sum
				}
				t.Cleanup(func() {
					if t.Failed() {
						for _, g := range groups {
							t.Logf("%d shards: %+v", len(g.shards), g.Listener().Read())
						}
						t.Logf("%d received of %d", received(), sent.Load())
					}
				})
				eventually(t, "all have come", func() bool { return received() == sent.Load() })
				at.yield(t)
				at.Close()
			})
		}
	}
}

// A group that yielded may go on.
func TestAGroupThatYieldedGoesOn(t *testing.T) {
	g, err := Listen(Config{Address: "127.0.0.1:0", Shards: 2})
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, g.Addr().String())
	for i := range 5 {
		r := run(t, g)
		conn.Write([]byte("x"))
		eventually(t, "it has come", func() bool { return total(g).Received == uint64(i+1) })
		for _, f := range r.yield(t) {
			f.Close()
		}
	}
	g.Close()
}
