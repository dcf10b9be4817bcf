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

// steered is a group of two shards whose program another socket of the same user detaches, by
// joining the port and leaving between two checks of the port.
type steered struct {
	t     *testing.T
	group handle
	told  events
	conns []*net.UDPConn
	cpu   int // of shard 1, where the test sends
	now   time.Time
	came  [flows]atomic.Int32 // the shard of a flow's last datagram, plus 1
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

// allowedCPUs returns the CPUs that this process may use: at least two.
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

// send sends a datagram of each of the first n flows, from the CPU of shard 1, and returns the
// shard of each datagram.
func (s *steered) send(n int) (shards []int) {
	s.t.Helper()
	done := make(chan error)
	go func() { // locked for good: the thread ends with the goroutine
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

// planned reports whether datagrams come to the shards of the plan.
func (s *steered) planned() bool {
	s.t.Helper()
	s.group.attacher.mu.Lock()
	plan := s.group.attacher.balancer.Plan()
	s.group.attacher.mu.Unlock()
	if plan.Mode == steer.Spray {
		return s.sprayed()
	}
	var want []int
	for _, c := range s.conns {
		shard, one := plan.Shard(netip.MustParseAddrPort(c.LocalAddr().String()))
		if !one {
			shard = 1 // of the CPU
		}
		want = append(want, shard)
	}
	return slices.Equal(s.send(flows), want)
}

// sprayed reports whether datagrams of one flow come to both shards.
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

// checkPort makes a tick with a check of the port.
func (s *steered) checkPort() {
	s.now = s.now.Add(10 * time.Second)
	s.group.attacher.tick(s.now)
}

// In each mode, a detached program is attached again, with an event and a count, with and without
// datagrams.
func TestADetachedProgramIsAttachedAgain(t *testing.T) {
	for _, mode := range []steer.Mode{steer.Spray, steer.Source, steer.CPU, steer.Auto} {
		for _, busy := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, busy %t", mode, busy), func(t *testing.T) {
				s := newSteered(t, mode)
				eventually(t, "the program is in force", s.planned)
				s.checkPort()
				if n := s.reattached(); n != 0 {
					t.Fatalf("%d programs were attached again before the other socket", n)
				}
				s.joinAndLeave()
				if s.planned() {
					t.Fatal("the other socket has left the program attached")
				}
				eventually(t, "the program is attached again", func() bool {
					if busy {
						s.send(flows)
					}
					s.checkPort()
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

// The next check after flows at other shards than the program's reports the detached program.
func TestMisplacedFlowsShowADetachedProgram(t *testing.T) {
	s := newSteered(t, steer.Source)
	g := s.group
	eventually(t, "the program is in force", s.planned)
	s.joinAndLeave()
	eventually(t, "flows have been seen elsewhere", func() bool {
		s.send(flows)
		g.attacher.mu.Lock()
		misplaced := g.attacher.balancer.Placement().Misplaced
		g.attacher.mu.Unlock()
		return misplaced > 0 || s.reattached() > 0 // by a check of the group's own
	})
	if s.checkPort(); s.reattached() != 1 {
		t.Errorf("%d programs were attached again", s.reattached())
	}
	if !s.planned() {
		t.Error("the program is not in force")
	}
}

// A check does not detach a program while flows with one shard come: the order of flows is kept.
func TestACheckKeepsTheOrder(t *testing.T) {
	for _, mode := range []steer.Mode{steer.Source, steer.Auto} {
		t.Run(string(mode), func(t *testing.T) {
			s := newSteered(t, mode)
			g := s.group
			checks := 0
			eventually(t, "flows have been seen", func() bool {
				s.send(flows)
				g.attacher.mu.Lock()
				defer g.attacher.mu.Unlock()
				return g.attacher.balancer.Placement().Placed > 0
			})
			g.attacher.mu.Lock()
			g.attacher.removeProgram = func(fd int) (bool, error) {
				t.Errorf("check %d detaches the program, with %+v", checks, g.attacher.balancer.Placement())
				return sys.RemoveProgram(fd)
			}
			g.attacher.mu.Unlock()
			for ; checks < 5; checks++ {
				eventually(t, "flows have been seen again", func() bool {
					s.send(flows)
					g.attacher.mu.Lock()
					defer g.attacher.mu.Unlock()
					return g.attacher.balancer.Placement().Placed > 0
				})
				s.checkPort()
			}
			if !s.planned() || s.reattached() != 0 {
				t.Errorf("%+v", g.Listener().Steering())
			}
		})
	}
}
