package shard

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// events collects the events of a group.
type events struct {
	mu   sync.Mutex
	list []engine.Event
}

func (e *events) add(event engine.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

func (e *events) has(match func(engine.Event) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(e.list, match)
}

func TestSteeringIsChecked(t *testing.T) {
	for _, test := range []struct {
		config Config
		field  string
	}{
		{Config{Steering: Steering{Mode: "east"}}, "Steering.Mode"},
		{Config{Steering: Steering{Mode: steer.Source}, Join: true}, "Steering.Mode"},
		{Config{Steering: Steering{StallAfter: time.Millisecond}}, "Steering.StallAfter"},
	} {
		test.config.Address = "127.0.0.1:0"
		var wrong *ConfigError
		if err := test.config.Check(); !errors.As(err, &wrong) || wrong.Field != test.field {
			t.Errorf("%+v: %v, want an error in %s", test.config.Steering, err, test.field)
		}
	}
	for _, right := range []Config{
		{Steering: Steering{StallAfter: -1, SprayAbove: -1}},
		{Steering: Steering{Mode: steer.Hash}, Join: true},
		{Join: true},
	} {
		right.Address = "127.0.0.1:0"
		if err := right.Check(); err != nil {
			t.Errorf("%+v: %v", right.Steering, err)
		}
	}
}

// Each mode delivers all datagrams, on each kind of address, and is in the ledger.
func TestEveryModeDelivers(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(listen, func(t *testing.T) {
			if listen != "127.0.0.1:0" {
				needIPv6(t)
			}
			// A shard that waits for its CPU is not avoided.
			steady := Steering{StallAfter: -1, SprayAbove: -1}
			g, _ := start(t, Config{Address: listen, Shards: 3, Steering: steady})
			if mode := g.Listener().Steering().Mode; mode != "auto" {
				t.Errorf("the zero mode is %q", mode)
			}
			targets := map[string]string{"127.0.0.1:0": "127.0.0.1", "[::1]:0": "::1", ":0": "127.0.0.1"}
			var conns []*net.UDPConn
			for range 32 {
				conns = append(conns, dial(t, net.JoinHostPort(targets[listen], port(g))))
			}
			sent := uint64(0)
			for _, mode := range append(slices.Clone(steer.Modes), steer.Auto) {
				steady.Mode = mode
				if err := g.SetSteering(steady); err != nil {
					t.Fatalf("%s: %v", mode, err)
				}
				if told := g.Listener().Steering().Mode; told != string(mode) {
					t.Errorf("%s calls itself %s", mode, told)
				}
				before := g.Listener().Read()
				for range 10 {
					for _, c := range conns {
						c.Write([]byte("x"))
						sent++
					}
				}
				eventually(t, "all have come", func() bool { return total(g).Received == sent })
				var reached int
				for i, r := range g.Listener().Read() {
					if r.Received > before[i].Received {
						reached++
					}
				}
				if (mode == steer.Source) != (reached == 1) && mode != steer.CPU {
					t.Errorf("%s reached %d shards", mode, reached)
				}
			}
			if total(g).Dropped.Kernel != 0 {
				t.Errorf("%d were lost", total(g).Dropped.Kernel)
			}
		})
	}
}

func port(g handle) string { _, p, _ := net.SplitHostPort(g.Addr().String()); return p }

// A handler that hangs costs only what its shard's queue can't hold. The shard's senders go to
// other shards meanwhile.
func TestAHandlerThatHangs(t *testing.T) {
	const shards = 2
	steering := Steering{StallAfter: 3 * time.Second} // the other shard does not wait so long for its CPU
	release := make(chan struct{})
	var freed atomic.Bool
	var told events
	var seen [shards]atomic.Uint64
	changes := make([]atomic.Uint64, len(steer.Kinds))
	avoided := slices.Index(steer.Kinds, steer.Avoiding)
	changes[avoided].Store(7) // of a predecessor
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: shards, Steering: steering, Handler: func(shard int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			seen[shard].Add(uint64(len(b.Datagrams)))
			if shard == 1 && !freed.Load() {
				<-release
			}
		})
	}}, engine.Options{Changes: changes, Event: told.add})
	free := sync.OnceFunc(func() { freed.Store(true); close(release) })
	defer free()
	var conns []*net.UDPConn
	for range 32 {
		conns = append(conns, dial(t, g.Addr().String()))
	}
	sent := uint64(0)
	send := func() {
		for _, c := range conns {
			c.Write([]byte("x"))
			sent++
		}
	}
	send()
	eventually(t, "shard 1 is stalled", func() bool { return seen[1].Load() > 0 })
	send()
	eventually(t, "shard 1 is avoided", func() bool {
		return told.has(func(e engine.Event) bool { return e.Change.Kind == steer.Avoiding && e.Change.Shard == 1 })
	})
	for _, mode := range []steer.Mode{steer.Spray, steer.Source, steer.Auto} { // the stall is known in each mode
		steering.Mode = mode
		if err := g.SetSteering(steering); err != nil {
			t.Fatal(err)
		}
		before := g.Listener().Read()[1].QueueBytes
		send()
		if now := g.Listener().Read()[1].QueueBytes; now > before {
			t.Errorf("%s sends to the stalled shard: %d bytes more", mode, now-before)
		}
	}
	tells := g.Listener().Steering()
	if !slices.Equal(tells.AvoidedShards, []int{1}) || !slices.Equal(tells.StalledShards, []int{1}) || !strings.HasPrefix(tells.Skew, "shard 1 is stalled; datagrams go to other shards") || tells.Changes["avoid"] != 8 || changes[avoided].Load() != 8 {
		t.Errorf("%+v", tells)
	}
	eventually(t, "only shard 1 is not ready", func() bool {
		why := notReady(g)
		return len(why) == 1 && strings.Contains(why[0], "shard 1 has not read for")
	})
	stalled := g.Listener().Read()[1]
	for range 50 {
		send()
	}
	eventually(t, "shard 0 has all datagrams", func() bool {
		r := g.Listener().Read()
		return r[0].QueueBytes == 0 && r[0].InFlight == 0 && seen[0].Load() == r[0].Received
	})
	if now := g.Listener().Read()[1]; now.QueueBytes != stalled.QueueBytes || now.Dropped.Kernel != 0 {
		t.Errorf("shard 1 still gets datagrams: %+v, before %+v", now, stalled)
	}
	free()
	eventually(t, "shard 1 is restored", func() bool {
		return told.has(func(e engine.Event) bool { return e.Change.Kind == steer.Restoring && e.Change.Shard == 1 })
	})
	back := seen[1].Load()
	eventually(t, "shard 1 gets datagrams again", func() bool { send(); return seen[1].Load() > back })
	eventually(t, "all have come", func() bool { return total(g).Received == sent })
	eventually(t, "all are ready", func() bool { return len(notReady(g)) == 0 && len(g.Listener().Steering().StalledShards) == 0 })
}

// A group that joins detaches the program, which does not know the new sockets. The first group
// detects that, and attaches its program again once the other group is closed.
func TestAGroupThatIsJoined(t *testing.T) {
	var told events
	var again atomic.Uint64
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			for _, d := range b.Datagrams {
				if string(d.Payload) == "again" {
					again.Add(1)
				}
			}
		})
	}}, engine.Options{Event: told.add})
	other := open(t, Config{Address: g.Addr().String(), Shards: 2, Join: true})
	if mode := other.Listener().Steering().InForce; mode != "hash" {
		t.Errorf("the joining group has the mode %s", mode)
	}
	conns := make([]*net.UDPConn, 64)
	for i := range conns {
		conns[i] = dial(t, g.Addr().String())
		conns[i].Write([]byte("x"))
	}
	eventually(t, "both groups get datagrams", func() bool {
		var queued uint64
		for _, r := range other.Listener().Read() {
			queued += r.QueueBytes
		}
		return queued > 0 && total(g).Received > 0
	})
	now := time.Now()
	eventually(t, "the other group is detected", func() bool { // /proc/net/udp can miss a socket while other sockets come and go
		now = now.Add(portInterval + time.Second)
		g.attacher.tick(now)
		return told.has(func(e engine.Event) bool { return e.Shared }) && g.Listener().Steering().InForce == "hash"
	})
	for _, mode := range []steer.Mode{steer.Source, steer.Hash, steer.Auto} { // no mode takes datagrams of the other group
		eventually(t, fmt.Sprintf("asked for %s, hash is in force", mode), func() bool {
			for _, asked := range []steer.Mode{steer.Hash, mode} {
				if err := g.SetSteering(Steering{Mode: asked}); err != nil {
					t.Fatal(err)
				}
			}
			return g.Listener().Steering().InForce == "hash"
		})
		queued := other.Listener().Read()
		for range 20 {
			for _, c := range conns {
				c.Write([]byte("x"))
			}
		}
		if now := other.Listener().Read(); now[0].QueueBytes+now[1].QueueBytes <= queued[0].QueueBytes+queued[1].QueueBytes {
			t.Errorf("in mode %s the other group gets nothing", mode)
		}
	}
	other.Close()
	g.attacher.tick(now.Add(2 * portInterval))
	if !told.has(func(e engine.Event) bool { return e.Alone }) || g.Listener().Steering().InForce != "auto" {
		t.Errorf("%+v, in force %s", told.list, g.Listener().Steering().InForce)
	}
	for _, c := range conns {
		c.Write([]byte("again"))
	}
	eventually(t, "the first group gets all datagrams again", func() bool { return again.Load() == uint64(len(conns)) })
}

func TestSteeringOfAClosedGroup(t *testing.T) {
	g, stop := start(t, Config{Address: "127.0.0.1:0", Shards: 2})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := g.SetSteering(Steering{Mode: steer.Spray}); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
}

// The receiver of an event may call the group.
func TestEventsMayCallTheGroup(t *testing.T) {
	var g atomic.Pointer[Group]
	called := make(chan error, 16)
	release := make(chan struct{})
	defer close(release)
	group, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{StallAfter: minStallAfter}, Handler: func(shard int) packet.Handler {
		return packet.HandlerFunc(func(*packet.Batch) {
			if shard == 0 {
				<-release
			}
		})
	}}, engine.Options{Event: func(engine.Event) {
		select {
		case called <- g.Load().SetSteering(Steering{Mode: steer.Spray}):
		default: // the test has its result
		}
	}})
	g.Store(group.Group)
	var conns []*net.UDPConn
	for range 16 {
		conns = append(conns, dial(t, group.Addr().String()))
	}
	eventually(t, "an event has called it", func() bool {
		for _, c := range conns {
			c.Write([]byte("x"))
		}
		select {
		case err := <-called:
			if err != nil {
				t.Fatal(err)
			}
			return true
		default:
			return false
		}
	})
}

// Without steering programs in the kernel, the default mode is Hash, and any other mode is an
// error.
func TestAKernelWithoutPrograms(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{Mode: steer.Hash}})
	g.attacher.attachProgram = func(int, []bpf.RawInstruction) error { return sys.ErrNoPrograms }
	if err := g.SetSteering(Steering{Mode: steer.Source}); !errors.Is(err, sys.ErrNoPrograms) || g.Listener().Steering().Mode != "hash" {
		t.Errorf("source: %v, mode %s", err, g.Listener().Steering().Mode)
	}
	if err := g.SetSteering(Steering{}); err != nil || g.Listener().Steering().Mode != "hash" {
		t.Errorf("auto: %v, mode %s", err, g.Listener().Steering().Mode)
	}
	g.attacher.attachProgram = sys.AttachProgram
	if err := g.SetSteering(Steering{}); err != nil || g.Listener().Steering().Mode != "auto" {
		t.Errorf("auto, with programs: %v, mode %s", err, g.Listener().Steering().Mode)
	}
}

// The ledger has the heaviest senders in each mode.
func TestTopSenders(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Steering: Steering{Mode: steer.Hash}})
	heavy, light := dial(t, g.Addr().String()), dial(t, g.Addr().String())
	var top []metrics.Sender
	eventually(t, "the heavy sender comes first", func() bool {
		for range 90 {
			heavy.Write([]byte("x"))
		}
		for range 10 {
			light.Write([]byte("x"))
		}
		top = g.Listener().Steering().TopSenders
		return len(top) == 2 && top[0].Source == heavy.LocalAddr().String() && top[0].Percent > 80 && top[1].Percent < 20
	})
	if top[0].Sprayed || top[0].PerSecond == 0 {
		t.Errorf("%+v", top)
	}
}
