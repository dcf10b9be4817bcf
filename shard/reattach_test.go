package shard

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/packet"
)

const flows = 32

// steered is a group of two shards whose program another process of the same user detaches, by
// joining the port and leaving between two looks of the steerer.
type steered struct {
	t     *testing.T
	group handle
	told  events
	conns []*net.UDPConn
	cpu   int // of shard 1, where the test sends
	now   time.Time
	came  [flows]atomic.Int32 // the shard, from 1, at which a flow's last datagram came
}

func newSteered(t *testing.T, mode steer.Mode) *steered {
	t.Helper()
	cpus := allowedCPUs(t)
	s := &steered{t: t, now: time.Now(), cpu: cpus[1]}
	s.group, _ = start(t, Config{
		Address: "127.0.0.1:0", Shards: 2, CPUs: cpus[:2],
		Steering: Steering{Mode: mode, StallAfter: -1, SprayAbove: -1},
		Handler: func(shard int) packet.Handler {
			return packet.HandlerFunc(func(b *packet.Batch) {
				for _, d := range b.Datagrams {
					s.came[d.Payload[0]].Store(int32(shard) + 1)
				}
			})
		},
	}, engine.Options{Event: s.told.add})
	for range flows {
		s.conns = append(s.conns, dial(t, s.group.Addr().String()))
	}
	return s
}

// allowedCPUs returns the CPUs that this process may run on, if there are two.
func allowedCPUs(t *testing.T) []int {
	t.Helper()
	cpus, err := sys.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(cpus) < 2 {
		t.Skip("steering by CPU can be seen with two CPUs: run the test with two")
	}
	return cpus
}

// joinAndLeave opens and closes a socket of the same port, as `serve --join` does.
func (s *steered) joinAndLeave() {
	s.t.Helper()
	other, err := Listen(Config{Address: s.group.Addr().String(), Shards: 1, Join: true})
	if err != nil {
		s.t.Fatal(err)
	}
	other.Close()
}

// send sends one datagram of each of the first n flows, from the CPU of shard 1, and returns the
// shard at which each came.
func (s *steered) send(n int) (shards []int) {
	s.t.Helper()
	done := make(chan error)
	go func() { // its thread ends with it: it stays locked
		runtime.LockOSThread()
		var one unix.CPUSet
		one.Set(s.cpu)
		err := unix.SchedSetaffinity(0, &one)
		for i, c := range s.conns[:n] {
			s.came[i].Store(0)
			if err == nil {
				_, err = c.Write([]byte{byte(i)})
			}
		}
		done <- err
	}()
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	for i := range n {
		eventually(s.t, "the datagram has come", func() bool { return s.came[i].Load() > 0 })
		shards = append(shards, int(s.came[i].Load())-1)
	}
	return shards
}

// planned says whether datagrams arrive as the mode's program sends them.
func (s *steered) planned() bool {
	s.t.Helper()
	s.group.steerer.mu.Lock()
	plan := s.group.steerer.controller.Plan()
	s.group.steerer.mu.Unlock()
	if plan.Mode == steer.Spray {
		return s.sprayed()
	}
	var want []int
	for _, c := range s.conns {
		shard, one := plan.Shard(netip.MustParseAddrPort(c.LocalAddr().String()))
		if !one {
			shard = 1 // the CPU's
		}
		want = append(want, shard)
	}
	return slices.Equal(s.send(flows), want)
}

// sprayed says whether datagrams of one flow come to both shards.
func (s *steered) sprayed() bool {
	var seen [2]bool
	for range 64 {
		seen[s.send(1)[0]] = true
	}
	return seen[0] && seen[1]
}

func (s *steered) reattached() uint64 {
	return s.group.Listener().Steering().Changes[string(steer.Reattaching)]
}

// look lets the steerer look, as it does at the latest after ten seconds.
func (s *steered) look() {
	s.now = s.now.Add(10 * time.Second)
	s.group.steerer.tick(s.now)
}

// Whatever the mode, a program that another process has detached is attached again, which is told
// and counted, whether datagrams come or not.
func TestADetachedProgramIsAttachedAgain(t *testing.T) {
	for _, mode := range []steer.Mode{steer.Spray, steer.Source, steer.CPU, steer.Auto} {
		for _, busy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, busy %t", mode, busy), func(t *testing.T) {
				s := newSteered(t, mode)
				eventually(t, "the program is in force", s.planned)
				s.look()
				if n := s.reattached(); n != 0 {
					t.Fatalf("%d programs were attached again before anybody joined", n)
				}
				s.joinAndLeave()
				if s.planned() {
					t.Fatal("who joins leaves the program")
				}
				eventually(t, "the program is attached again, and told of", func() bool {
					if busy {
						s.send(flows)
					}
					s.look()
					return s.reattached() > 0
				})
				if !s.planned() {
					t.Error("the program is not in force")
				}
				told := s.group.Listener().Steering()
				if told.Mode != string(mode) || told.InForce != string(mode) || s.reattached() != 1 {
					t.Errorf("%+v", told)
				}
				if !s.told.has(func(e engine.Event) bool { return e.Change.Kind == steer.Reattaching && e.Change.Reason != "" }) {
					t.Errorf("events %+v", s.told.list)
				}
			})
		}
	}
}

// Where flows came to other shards than the program sends them to, the next look tells of it.
func TestFlowsTellOfADetachedProgram(t *testing.T) {
	s := newSteered(t, steer.Source)
	g := s.group
	eventually(t, "the program is in force", s.planned)
	s.joinAndLeave()
	eventually(t, "flows have been seen elsewhere", func() bool {
		s.send(flows)
		g.steerer.mu.Lock()
		misplaced := g.steerer.controller.Placement().Misplaced
		g.steerer.mu.Unlock()
		return misplaced > 0 || s.reattached() > 0 // by a look of the group's own
	})
	if s.look(); s.reattached() != 1 {
		t.Errorf("%d programs were attached again", s.reattached())
	}
	if !s.planned() {
		t.Error("the program is not in force")
	}
}

// A look at a program that is in force does not take it off while flows come that have one shard:
// their order is kept.
func TestALookKeepsTheOrder(t *testing.T) {
	for _, mode := range []steer.Mode{steer.Source, steer.Auto} {
		t.Run(string(mode), func(t *testing.T) {
			s := newSteered(t, mode)
			g := s.group
			looks := 0
			eventually(t, "flows have been seen", func() bool {
				s.send(flows)
				g.steerer.mu.Lock()
				defer g.steerer.mu.Unlock()
				return g.steerer.controller.Placement().Placed > 0
			})
			g.steerer.mu.Lock()
			g.steerer.off = func(fd int) (bool, error) {
				t.Errorf("look %d detaches the program, with %+v", looks, g.steerer.controller.Placement())
				return sys.RemoveProgram(fd)
			}
			g.steerer.mu.Unlock()
			for ; looks < 5; looks++ {
				eventually(t, "flows have been seen again", func() bool {
					s.send(flows)
					g.steerer.mu.Lock()
					defer g.steerer.mu.Unlock()
					return g.steerer.controller.Placement().Placed > 0
				})
				s.look()
			}
			if !s.planned() || s.reattached() != 0 {
				t.Errorf("%+v", g.Listener().Steering())
			}
		})
	}
}
