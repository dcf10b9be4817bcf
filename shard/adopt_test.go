package shard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// running is a group in Run.
type running struct {
	handle
	ended chan error
}

func run(t *testing.T, g handle) running {
	r := running{g, make(chan error, 1)}
	go func() { r.ended <- g.Run(context.Background()) }()
	return r
}

// wait returns the result of Run. If Run does not return, wait ends the group, and the test fails.
func (r running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(20 * time.Second):
	}
	r.Quiesce()
	select {
	case err := <-r.ended:
		t.Fatalf("Run did not return before Quiesce: %v", err)
	case <-time.After(20 * time.Second):
		panic("Run does not return after Quiesce")
	}
	return nil
}

// quiesce makes Run return, and returns duplicates of the sockets.
func (r running) quiesce(t *testing.T) []*os.File {
	t.Helper()
	r.Quiesce()
	if err := r.wait(t); err != nil {
		t.Fatal(err)
	}
	files, err := r.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A takeover by a group with as many, more or fewer shards loses no datagram, in each mode.
func TestSocketsGoFromGroupToGroup(t *testing.T) {
	for _, mode := range steer.Modes {
		for _, counts := range [][]int{{2, 2, 2}, {2, 4, 1}, {3, 1, 2}, {1, 4, 3}} {
			t.Run(fmt.Sprint(mode, counts), func(t *testing.T) {
				first := open(t, Config{Address: "127.0.0.1:0", Shards: counts[0], Steering: Steering{Mode: mode}})
				var conns []*net.UDPConn
				for range 32 {
					conns = append(conns, dial(t, first.Addr().String()))
				}
				var sent, dropped atomic.Uint64 // dropped: at surplus sockets
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
				groups := []handle{first}
				at := run(t, first)
				for _, shards := range counts[1:] {
					before := sent.Load()
					eventually(t, "there is load", func() bool { return sent.Load() >= before+2000 })
					files := at.quiesce(t)
					next := open(t, Config{Address: first.Addr().String(), Shards: shards, Steering: Steering{Mode: mode}}, inherited(files, at.Seed()))
					for _, f := range files {
						f.Close()
					}
					at.Close()
					adopt(t, next)
					drainSurplus(t, next, func(s metrics.Socket) error {
						_, _, all, err := s.Memory()
						dropped.Add(uint64(all))
						return err
					})
					groups = append(groups, next)
					at = run(t, next)
				}
				close(stop)
				<-done
				// Counters without inheritance have all drops of the socket.
				received := func() uint64 {
					sum := dropped.Load() + total(at.handle).Dropped.Kernel
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
				at.quiesce(t)
				at.Close()
			})
		}
	}
}

// After Adopt no datagram comes to a surplus socket.
func TestSurplusSocketsGetNoDatagrams(t *testing.T) {
	for _, mode := range steer.Modes {
		t.Run(string(mode), func(t *testing.T) {
			first := open(t, Config{Address: "127.0.0.1:0", Shards: 4, Steering: Steering{Mode: mode}})
			files, err := first.Sockets()
			if err != nil {
				t.Fatal(err)
			}
			first.Close()
			next := open(t, Config{Address: first.Addr().String(), Shards: 2, Steering: Steering{Mode: mode}}, inherited(files, first.Seed()))
			closeFiles(files)
			defer next.Close()
			adopt(t, next)
			const sent = 64
			for range sent {
				dial(t, first.Addr().String()).Write([]byte("x"))
			}
			for i, fd := range next.surplus {
				if m, err := sys.SocketMemory(fd); m.Queued != 0 || err != nil {
					t.Errorf("%d bytes wait at surplus socket %d, %v", m.Queued, i, err)
				}
			}
			drainSurplus(t, next)
			if r := total(next); r.Received != 0 || r.QueueBytes == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// DrainSurplus reads a datagram that comes to a surplus socket between its first read and its
// detachment.
func TestSurplusSocketsAreReadAgain(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 4})
	conn := dial(t, first.Addr().String())
	sendTo := func(fd int, member uint32) { // by a program that replaces the group's
		program, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: member}})
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.AttachProgram(fd, program); err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("x"))
	}
	sendTo(first.shards[0].fd, 3)
	files, err := first.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	var next handle
	handled := 0
	next = open(t, Config{Address: first.Addr().String(), Shards: 2,
		Handler: func(int) packet.Handler {
			return packet.HandlerFunc(func(b *packet.Batch) {
				if handled += len(b.Datagrams); handled == 1 {
					sendTo(next.shards[0].fd, 2)
				}
			})
		}}, inherited(files, first.Seed()))
	closeFiles(files)
	defer next.Close()
	adopt(t, next)
	cookies := make(map[uint64]bool)
	drainSurplus(t, next, func(s metrics.Socket) error {
		_, _, _, err := s.Memory()
		cookies[s.Cookie()] = true
		return err
	})
	if handled != 2 || total(next).Received != 2 {
		t.Errorf("%d of 2 datagrams were handled", handled)
	}
	if len(cookies) != 2 {
		t.Errorf("the drops of %d sockets were told of, and 2 were closed", len(cookies))
	}
}

// Run can be called again after Quiesce.
func TestRunAfterQuiesce(t *testing.T) {
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	conn := dial(t, g.Addr().String())
	for i := range 5 {
		r := run(t, g)
		conn.Write([]byte("x"))
		eventually(t, "it has come", func() bool { return total(g).Received == uint64(i+1) })
		for _, f := range r.quiesce(t) {
			f.Close()
		}
	}
	g.Close()
}

// successor quiesces r, and opens a group with the sockets of r.
func (r running) successor(t *testing.T, c Config) (handle, error) {
	t.Helper()
	files := r.quiesce(t)
	g, err := listen(c, inherited(files, r.Seed()))
	for _, f := range files {
		f.Close()
	}
	return handle{g}, err
}

// Sockets of each kind of address can be inherited: some options can be set before bind only.
func TestEveryKindOfAddressIsInherited(t *testing.T) {
	for _, at := range []string{":0", "[::]:0", "[::1]:0", "0.0.0.0:0", "127.0.0.1:0"} {
		t.Run(at, func(t *testing.T) {
			if at[0] == '[' && !sys.HaveIPv6() {
				t.Skip("there is no IPv6 here")
			}
			c := Config{Address: at, Shards: 2, Handler: func(int) packet.Handler { return packet.Echo{} }}
			first := open(t, c)
			r := run(t, first)
			_, port, _ := net.SplitHostPort(first.Addr().String())
			host, _, _ := net.SplitHostPort(at)
			c.Address = net.JoinHostPort(host, port)
			if host == "" {
				c.Address = ":" + port
			}
			next, err := r.successor(t, c)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			adopt(t, next)
			r = run(t, next)
			to := net.JoinHostPort("127.0.0.1", port)
			if at[0] == '[' {
				to = net.JoinHostPort("::1", port)
			}
			conn := dial(t, to)
			conn.Write([]byte("hello"))
			var buf [16]byte
			if n, err := conn.Read(buf[:]); err != nil || string(buf[:n]) != "hello" {
				t.Errorf("%q, %v", buf[:n], err)
			}
			r.quiesce(t)
			r.Close()
		})
	}
}

// Sockets of another address, or with GRO that the configuration does not have, are refused.
func TestInheritedSocketsAreChecked(t *testing.T) {
	for _, other := range []struct {
		name, words string
		first, next Config
	}{
		{"address", "the address is", Config{Address: "127.0.0.1:0"}, Config{Address: "127.0.0.2:0"}},
		{"dual stack", "IPv6 and IPv4", Config{Address: ":0"}, Config{Address: "[::]:0"}},
		{"gro", "GRO", Config{Address: "127.0.0.1:0", GRO: true}, Config{Address: "127.0.0.1:0"}},
	} {
		t.Run(other.name, func(t *testing.T) {
			other.first.Shards, other.next.Shards = 1, 1
			first := open(t, other.first)
			r := run(t, first)
			if next, err := r.successor(t, other.next); err == nil || !strings.Contains(err.Error(), other.words) {
				t.Errorf("%v, not %q", err, other.words)
				if err == nil {
					next.Close()
				}
			}
			r.Close()
		})
	}
}

// A successor does not change the options of inherited sockets before Adopt.
func TestAWaitingSuccessorChangesNothing(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 1, ReceiveBuffer: 100_000})
	r := run(t, first)
	next, err := r.successor(t, Config{Address: "127.0.0.1:0", Shards: 1, ReceiveBuffer: 10_000, GRO: true, Steering: Steering{Mode: steer.Source}})
	if err != nil {
		t.Fatal(err)
	}
	if mode := next.Listener().Steering().Mode; mode != string(steer.Source) {
		t.Errorf("the ledger has the mode %q", mode)
	}
	buffer := func() int {
		granted, err := sys.ReceiveBuffer(first.shards[0].fd)
		if err != nil {
			t.Fatal(err)
		}
		return granted
	}
	if granted := buffer(); granted != 100_000 {
		t.Errorf("the receive buffer has %d bytes", granted)
	}
	if gro, err := unix.GetsockoptInt(first.shards[0].fd, unix.SOL_UDP, unix.UDP_GRO); err == nil && gro != 0 {
		t.Error("GRO is on")
	}
	adopt(t, next)
	if _, granted := next.ReceiveBuffer(); granted != 10_000 || buffer() != 10_000 {
		t.Errorf("the receive buffer has %d bytes, and ReceiveBuffer returns %d", buffer(), granted)
	}
	next.Close()
	r.Close()
}

// Adopt detaches the closing filter of a socket that the predecessor has drained.
func TestADrainedSocketAcceptsDatagramsAgain(t *testing.T) {
	first := open(t, Config{Address: "127.0.0.1:0", Shards: 2})
	files, err := first.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := first.Run(ctx); err != nil {
		t.Fatal(err)
	}
	next := open(t, Config{Address: first.Addr().String(), Shards: 2}, inherited(files, 0))
	for _, f := range files {
		f.Close()
	}
	adopt(t, next)
	r := run(t, next)
	for range 16 {
		dial(t, next.Addr().String()).Write([]byte("x"))
	}
	eventually(t, "all have come", func() bool { return total(next).Received == 16 })
	r.quiesce(t)
	r.Close()
}

// The steering of a successor with fewer shards is in force after Adopt: surplus sockets do not
// count as sockets of another process.
func TestASuccessorWithFewerShardsSteers(t *testing.T) {
	c := Config{Address: "127.0.0.1:0", Shards: 4}
	first := open(t, c)
	had := first.Listener().Steering().Mode
	c.Shards = 2
	next, err := run(t, first).successor(t, c)
	if err != nil {
		t.Fatal(err)
	}
	adopt(t, next)
	if mode := next.Listener().Steering().Mode; mode != had {
		t.Errorf("the mode is %s, and the predecessor's was %s", mode, had)
	}
	next.Close()
	first.Close()
}

// A successor that fails after Adopt leaves the queues to the predecessor, also those of surplus
// sockets.
func TestASuccessorThatFailsReadsNothing(t *testing.T) {
	c := Config{Address: "127.0.0.1:0", Shards: 4, Steering: Steering{Mode: steer.Hash}}
	first := open(t, c)
	r := run(t, first)
	c.Shards = 1
	next, err := r.successor(t, c)
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		for range 64 {
			dial(t, first.Addr().String()).Write([]byte("x"))
		}
	}
	send()
	adopt(t, next)
	next.Close()
	r = run(t, first)
	eventually(t, "the queues are read", func() bool { return total(first).Received == 64 })
	before := first.Listener().Read()
	send()
	eventually(t, "all have come", func() bool { return total(first).Received == 128 })
	for i, s := range first.Listener().Read() {
		if s.Received == before[i].Received {
			t.Errorf("shard %d gets no datagrams", i)
		}
	}
	r.quiesce(t)
	r.Close()
}

// Surplus sockets are detached and closed, also dual-stack sockets without IPv6, and without any
// interface that is up.
func TestSurplusSocketsAreDetachedWithoutIPv6(t *testing.T) {
	for _, at := range []string{":0", "0.0.0.0:0", "127.0.0.1:0"} {
		for _, up := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s up %t", at, up), func(t *testing.T) {
				runtime.LockOSThread() // for good: the thread ends with the test
				if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
					t.Skipf("needs CAP_SYS_ADMIN for a network namespace: %v", err)
				}
				if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Skipf("needs to write to /proc/sys/net: %v", err)
				}
				if up {
					raiseLoopback(t)
				}
				c := Config{Address: at, Shards: 3}
				first := open(t, c)
				files, err := first.Sockets()
				if err != nil {
					t.Fatal(err)
				}
				c.Shards = 1
				next := open(t, c, inherited(files, 0))
				adopt(t, next)
				drainSurplus(t, next)
				for i, f := range files {
					if _, err := engine.SocketAddress(f); up && (err != nil) != (i > 0) {
						t.Errorf("socket %d: %v", i, err)
					}
					f.Close()
				}
				next.Close()
				first.Close()
			})
		}
	}
}

// raiseLoopback sets the loopback interface of a new network namespace up.
func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// A successor that is closed before Adopt closes all its descriptors.
func TestASuccessorClosesItsDescriptors(t *testing.T) {
	c := Config{Address: "127.0.0.1:0", Shards: 4}
	first := open(t, c)
	files := run(t, first).quiesce(t)
	links := make(map[string]bool) // the sockets of the group
	for _, s := range first.shards {
		link, err := os.Readlink(fmt.Sprint("/proc/self/fd/", s.fd))
		if err != nil {
			t.Fatal(err)
		}
		links[link] = true
	}
	descriptors := func() (n int) {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range open {
			if link, err := os.Readlink("/proc/self/fd/" + name.Name()); err == nil && links[link] {
				n++
			}
		}
		return n
	}
	before := descriptors()
	c.Shards = 1
	next := open(t, c, inherited(files, first.Seed()))
	next.Close()
	if after := descriptors(); after != before {
		t.Errorf("%d descriptors are open, and %d were before", after, before)
	}
	for _, f := range files {
		f.Close()
	}
	first.Close()
}

// Run restores options and steering that a failed successor has changed.
func TestRunAfterASuccessorThatFailed(t *testing.T) {
	c := Config{Address: "127.0.0.1:0", Shards: 2, ReceiveBuffer: 100_000}
	first := open(t, c)
	r := run(t, first)
	c.ReceiveBuffer, c.GRO, c.Shards = 10_000, true, 4
	next, err := r.successor(t, c)
	if err != nil {
		t.Fatal(err)
	}
	adopt(t, next)
	next.Close()
	r = run(t, first)
	for range 32 {
		dial(t, first.Addr().String()).Write([]byte("x"))
	}
	eventually(t, "all have come", func() bool { return total(first).Received == 32 })
	for _, s := range first.Listener().Read() {
		if s.Received == 0 {
			t.Errorf("shard %d gets no datagrams", s.Shard)
		}
	}
	if granted, _ := sys.ReceiveBuffer(first.shards[0].fd); granted != 100_000 {
		t.Errorf("the receive buffer has %d bytes", granted)
	}
	if gro, err := unix.GetsockoptInt(first.shards[0].fd, unix.SOL_UDP, unix.UDP_GRO); err == nil && gro != 0 {
		t.Error("GRO is on")
	}
	r.quiesce(t)
	r.Close()
}
