package shard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// start runs a group until stop or the end of the test. The test fails if Run fails.
func start(t *testing.T, c Config, o ...engine.Options) (handle, func() error) {
	t.Helper()
	g := open(t, c, o...)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stopped := false
	stop := func() error {
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		cancel()
	})
	return g, stop
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func total(g handle) metrics.Reading { return metrics.Sum(g.Listener().Read()) }

func dial(t *testing.T, to string) *net.UDPConn {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

// ask sends on a connected socket, which accepts answers only from the address that was asked.
func ask(t *testing.T, conn *net.UDPConn, text string) string {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	answer := make([]byte, 65536)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatalf("no answer from %s: %v", conn.RemoteAddr(), err)
	}
	return string(answer[:n])
}

func needIPv6(t *testing.T) {
	t.Helper()
	if conn, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skip("needs IPv6 on the loopback: sysctl -w net.ipv6.conf.lo.disable_ipv6=0")
	} else {
		conn.Close()
	}
}

func TestEchoLeavesFromTheAddressThatWasAsked(t *testing.T) {
	for _, test := range []struct {
		listen string
		ask    []string
	}{
		{"127.0.0.1:0", []string{"127.0.0.1"}},
		{"0.0.0.0:0", []string{"127.0.0.1", "127.0.0.5"}},
		{"[::1]:0", []string{"::1"}},
		{"[::]:0", []string{"::1"}},
		{":0", []string{"127.0.0.1", "127.1.2.3", "::1"}},
	} {
		t.Run(test.listen, func(t *testing.T) {
			if strings.Contains(test.listen, "::") || len(test.ask) > 2 {
				needIPv6(t)
			}
			asked := make(chan netip.Addr, 16)
			g, _ := start(t, Config{Address: test.listen, Shards: 2, Handler: func(int) packet.Handler {
				return packet.HandlerFunc(func(b *packet.Batch) {
					packet.Echo{}.Handle(b)
					asked <- b.Datagrams[0].Destination
				})
			}})
			for _, host := range test.ask {
				conn := dial(t, netip.AddrPortFrom(netip.MustParseAddr(host), g.Addr().Port()).String())
				for _, text := range []string{"x", strings.Repeat("long ", 500), ""} {
					if got := ask(t, conn, text); got != text {
						t.Errorf("asked %q at %s, got %q", text, host, got)
					}
					if got := <-asked; got != netip.MustParseAddr(host) {
						t.Errorf("Destination is %s, asked was %s", got, host)
					}
				}
			}
			eventually(t, "all are counted", func() bool {
				r := total(g)
				return r.Replied == uint64(3*len(test.ask)) && r.Delivered == r.Replied
			})
		})
	}
}

func TestIPv6AloneLeavesThePortToIPv4(t *testing.T) {
	needIPv6(t)
	for tries := 1; ; tries++ { // another process may have the port for IPv4
		six, _ := start(t, Config{Address: "[::]:0", Shards: 1})
		four, err := Listen(Config{Address: fmt.Sprintf("0.0.0.0:%d", six.Addr().Port()), Shards: 1})
		if err == nil {
			four.Close()
			return
		} else if tries == 5 {
			t.Fatal(err)
		}
	}
}

func TestSourcesOfADualStackGroupAreIPv4(t *testing.T) {
	needIPv6(t)
	sources := make(chan netip.AddrPort, 1)
	g, _ := start(t, Config{Shards: 1, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) { sources <- b.Datagrams[0].Source })
	}})
	conn := dial(t, fmt.Sprintf("127.0.0.1:%d", g.Addr().Port()))
	conn.Write([]byte("x"))
	if got, want := <-sources, conn.LocalAddr().(*net.UDPAddr).AddrPort(); got != want {
		t.Errorf("source %s, want %s", got, want)
	}
}

func TestTruncation(t *testing.T) {
	type seen struct {
		text      string
		truncated bool
	}
	got := make(chan seen, 3)
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, MaxDatagram: 10, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(b *packet.Batch) {
			for _, d := range b.Datagrams {
				if cap(d.Payload) > 10 {
					t.Errorf("a payload's capacity of %d reaches into the next", cap(d.Payload))
				}
				got <- seen{string(d.Payload), d.Truncated}
			}
		})
	}})
	conn := dial(t, g.Addr().String())
	for _, text := range []string{"0123456789", "0123456789a", ""} {
		conn.Write([]byte(text))
		want := seen{text[:min(len(text), 10)], len(text) > 10}
		if s := <-got; s != want {
			t.Errorf("%+v, want %+v", s, want)
		}
	}
	eventually(t, "all are counted", func() bool { return total(g).Delivered == 3 })
	if r := total(g); r.Truncated != 1 || r.Bytes != 20 {
		t.Errorf("truncated %d, bytes %d", r.Truncated, r.Bytes)
	}
}

func TestMoreShardsThanCPUs(t *testing.T) {
	usable, err := sys.UsableCPUs()
	if err != nil {
		t.Fatal(err)
	}
	const shards, flows = 8, 200
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: shards})
	for range flows {
		dial(t, g.Addr().String()).Write([]byte("x"))
	}
	eventually(t, "all arrive", func() bool { return total(g).Delivered == flows })
	threads := make(map[int]bool)
	for i, r := range g.Listener().Read() {
		if r.Received == 0 {
			t.Errorf("shard %d got none of %d flows", i, flows)
		}
		if want := usable[i%len(usable)]; r.CPU != want {
			t.Errorf("shard %d is on cpu %d, want %d", i, r.CPU, want)
		}
		threads[r.Thread] = true
		status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", r.Thread))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("Cpus_allowed_list:\t%d\n", r.CPU); !strings.Contains(string(status), want) {
			t.Errorf("thread %d of shard %d is not pinned to cpu %d", r.Thread, i, r.CPU)
		}
		if want := fmt.Sprintf("Name:\tshard %d\n", i); !strings.Contains(string(status), want) {
			t.Errorf("thread %d has no name of its own", r.Thread)
		}
	}
	if len(threads) != shards {
		t.Errorf("%d threads for %d shards", len(threads), shards)
	}
}

func TestPolicy(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Policy: Policy{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
	conn := dial(t, g.Addr().String())
	conn.Write([]byte("x"))
	eventually(t, "it is refused", func() bool { return total(g).Dropped.NotAllowed == 1 })

	began := time.Now()
	if err := g.SetPolicy(Policy{Allow: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}, RateLimit: 5}); err != nil {
		t.Fatal(err)
	}
	for range 30 { // flows of one address share the limit, on any shard
		dial(t, g.Addr().String()).Write([]byte("x"))
	}
	eventually(t, "all are judged", func() bool { return total(g).Received == 31 })
	r, took := total(g), time.Since(began)
	if most := 5 + 5*took.Seconds(); r.Delivered < 5 || float64(r.Delivered) > most || r.Delivered+r.Dropped.RateLimited != 30 || r.InFlight != 0 {
		t.Errorf("delivered %d and limited %d of 30 at 5/s, in %s", r.Delivered, r.Dropped.RateLimited, took)
	}
	if err := g.SetPolicy(Policy{RateLimit: -1}); err == nil {
		t.Error("a negative limit was taken")
	}
}

// flood sends count datagrams from flows sockets, at full speed.
func flood(t *testing.T, to string, flows, count int) {
	t.Helper()
	conns := make([]*net.UDPConn, flows)
	for i := range conns {
		conns[i] = dial(t, to)
	}
	payload := make([]byte, 100)
	for i := range count {
		if _, err := conns[i%flows].Write(payload); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOverloadIsCountedToTheDatagram(t *testing.T) {
	const sent = 60_000
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, ReceiveBuffer: 4096, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(*packet.Batch) { time.Sleep(100 * time.Microsecond) })
	}})
	done := make(chan struct{})
	readings := make(chan error, 1)
	go func() {
		defer close(readings)
		for {
			for _, r := range g.Listener().Read() {
				if int64(r.InFlight) < 0 || r.Received != r.Delivered+r.InFlight {
					readings <- fmt.Errorf("a reading does not add up: %+v", r)
					return
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	flood(t, g.Addr().String(), 8, sent)
	eventually(t, "sent = received + kernel", func() bool {
		r := total(g)
		return r.Received+r.Dropped.Kernel == sent && r.InFlight == 0
	})
	close(done)
	if err := <-readings; err != nil {
		t.Error(err)
	}
	if total(g).Dropped.Kernel == 0 {
		t.Error("nothing was dropped: this was no overload")
	}
}

func TestDrainReadsTheQueueAndTurnsTheRestAway(t *testing.T) {
	var hold atomic.Bool
	hold.Store(true)
	entered := make(chan struct{}, 1)
	g, stop := start(t, Config{Address: "127.0.0.1:0", Shards: 1, Batch: 1, Handler: func(int) packet.Handler {
		return packet.HandlerFunc(func(*packet.Batch) {
			select {
			case entered <- struct{}{}:
			default:
			}
			for hold.Load() {
				time.Sleep(time.Millisecond)
			}
		})
	}})
	flood(t, g.Addr().String(), 1, 100)
	<-entered
	ended := make(chan error)
	go func() { ended <- stop() }()
	eventually(t, "the group stops", g.stopping.Load)
	flood(t, g.Addr().String(), 1, 50)
	hold.Store(false)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if r := total(g); r.Delivered != 100 || r.Dropped.Kernel != 50 || r.InFlight != 0 {
		t.Errorf("delivered %d of 100 queued, %d of 50 that came later were counted as dropped", r.Delivered, r.Dropped.Kernel)
	}
}

func TestFatalErrorStopsTheGroup(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, g handle, fd int){
		"not a socket any more": func(t *testing.T, g handle, fd int) {
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			if err := unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		},
		"shut down when it is idle": func(t *testing.T, g handle, fd int) {
			waitsIdle(t, g)
			if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil && !errors.Is(err, unix.ENOTCONN) {
				t.Fatal(err)
			}
		},
		"shut down": func(t *testing.T, g handle, fd int) {
			if err := unix.Shutdown(fd, unix.SHUT_RDWR); err != nil && !errors.Is(err, unix.ENOTCONN) {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, Config{Address: "127.0.0.1:0", Shards: 3})
			ended := make(chan error, 1)
			go func() { ended <- g.Run(t.Context()) }()
			eventually(t, "all shards read", func() bool { return len(notReady(g)) == 0 })
			spoil(t, g, g.shards[1].fd)
			var err error
			select {
			case err = <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("Run does not return")
			}
			if err == nil || !strings.Contains(err.Error(), "shard 1 of 127.0.0.1:") {
				t.Errorf("the error does not name the shard: %v", err)
			}
			if r := total(g); r.Received != 0 {
				t.Errorf("%d datagrams were counted, and none was sent", r.Received)
			}
		})
	}
}

// waitsIdle returns when each thread of the group waits in a call other than a receive.
func waitsIdle(t *testing.T, g handle) {
	t.Helper()
	eventually(t, "the shards are idle", func() bool {
		for _, page := range g.Listener().Shards {
			call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", page.Thread()))
			if err != nil {
				t.Skipf("needs /proc/self/task/*/syscall (CONFIG_HAVE_ARCH_TRACEHOOK): %v", err)
			}
			number, err := strconv.Atoi(strings.Fields(string(call))[0]) // an error: the thread runs
			if err != nil || number == unix.SYS_RECVMMSG || number == unix.SYS_FUTEX {
				return false
			}
		}
		return true
	})
}

func notReady(g handle) []string {
	ledger := metrics.NewLedger("")
	ledger.Add(g.Listener())
	return ledger.NotReady(time.Now())
}

func TestConfigErrorsNameTheField(t *testing.T) {
	for field, c := range map[string]Config{
		"CPUs":          {CPUs: []int{8191}},
		"Shards":        {Shards: -1},
		"Batch":         {Batch: 1025},
		"MaxDatagram":   {MaxDatagram: 65536},
		"ReceiveBuffer": {ReceiveBuffer: 2 << 30},
		"BusyPoll":      {BusyPoll: time.Hour},
		"RateLimit":     {Policy: Policy{RateLimit: -1}},
		"Address":       {Address: "nonsense"},

		"RateLimitPrefix4": {Policy: Policy{RateLimitPrefix4: 33}},
		"RateLimitPrefix6": {Policy: Policy{RateLimitPrefix6: -1}},
	} {
		var wrong *ConfigError
		if err := c.Check(); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("Check of %s: %v", field, err)
		}
		if g, err := Listen(c); !errors.As(err, &wrong) || wrong.Field != field {
			t.Errorf("Listen with %s: %v", field, err)
			if g != nil {
				g.Close()
			}
		}
	}
}

func TestAddressInUseNamesItsHolder(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2})
	_, err := Listen(Config{Address: g.Addr().String()})
	var inUse *InUseError
	if !errors.As(err, &inUse) || !errors.Is(err, unix.EADDRINUSE) {
		t.Fatalf("%v", err)
	}
	if want := fmt.Sprintf("pid %d ", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %q", err, want)
	}
	if want := fmt.Sprintf("uid %d", os.Getuid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not name %q", err, want)
	}
	joined, err := Listen(Config{Address: g.Addr().String(), Join: true, Shards: 1})
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	joined.Close()
}

// If another process holds the socket too, the error names that process.
func TestAddressInUseNamesTheOtherProcess(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1})
	files, err := g.Sockets()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	other := exec.Command("sleep", "60")
	other.ExtraFiles = files
	if err := other.Start(); err != nil {
		t.Skipf("needs sleep (coreutils): %v", err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	_, err = Listen(Config{Address: g.Addr().String()})
	if want := fmt.Sprintf("pid %d ", other.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, and %swas meant", err, want)
	}
}

func TestNothingJoinsASocketWithoutReuseport(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = Listen(Config{Address: conn.LocalAddr().String(), Join: true})
	var inUse *InUseError
	if !errors.As(err, &inUse) || !strings.Contains(inUse.Hint(), "SO_REUSEPORT") {
		t.Errorf("%v", err)
	}
}

func TestASpecificAddressIsPreferredToTheWildcard(t *testing.T) {
	wildcard, _ := start(t, Config{Address: "0.0.0.0:0", Shards: 2})
	specific, _ := start(t, Config{Address: fmt.Sprintf("127.0.0.2:%d", wildcard.Addr().Port()), Shards: 2})
	for range 50 {
		dial(t, specific.Addr().String()).Write([]byte("x"))
		dial(t, fmt.Sprintf("127.0.0.1:%d", wildcard.Addr().Port())).Write([]byte("x"))
	}
	eventually(t, "each gets its own", func() bool { return total(specific).Delivered == 50 && total(wildcard).Delivered == 50 })
}

// The kernel gives each socket of the port a duplicate of a broadcast. The group handles one.
func TestBroadcastsAreReceivedOnce(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0"} {
		for _, oneWay := range []bool{true, false} {
			g, _ := start(t, Config{Address: listen, Shards: 4, OneWay: oneWay})
			conn := dial(t, fmt.Sprintf("127.255.255.255:%d", g.Addr().Port())) // net sets SO_BROADCAST
			const sent = 20
			for range sent {
				if _, err := conn.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			marker := dial(t, fmt.Sprintf("127.0.0.1:%d", g.Addr().Port()))
			marker.Write([]byte("y"))
			eventually(t, "all arrive", func() bool { return total(g).Delivered >= sent+1 })
			if err := settle(g); err != nil {
				t.Error(err)
			}
			if r := total(g); r.Received != sent+1 || r.Dropped.Kernel != 0 {
				t.Errorf("%s, one-way %v: %d received of %d sent", listen, oneWay, r.Received, sent+1)
			}
		}
	}
}

// settle waits until all queues of the group are empty.
func settle(g handle) error {
	for deadline := time.Now().Add(time.Minute); total(g).QueueBytes > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the queues are never empty")
		}
	}
	return nil
}

func TestTheOwnPortIsNotAnswered(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, Handler: func(int) packet.Handler { return packet.Echo{} }})
	other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: int(g.Addr().Port())})
	if err != nil {
		t.Skip("the port is taken on 127.0.0.2: run the test again")
	}
	defer other.Close()
	other.WriteToUDPAddrPort([]byte("x"), g.Addr())
	eventually(t, "the answer is counted as lost", func() bool { return total(g).Dropped.Reply == 1 })
	if r := total(g); r.Replied != 0 {
		t.Errorf("%d replied", r.Replied)
	}
}

func TestBusyPolling(t *testing.T) {
	g, stop := start(t, Config{Address: "127.0.0.1:0", Shards: 1, BusyPoll: 100 * time.Millisecond,
		Handler: func(int) packet.Handler { return packet.Echo{} }})
	conn := dial(t, g.Addr().String())
	for range 1000 {
		if got := ask(t, conn, "x"); got != "x" {
			t.Fatalf("answer %q", got)
		}
	}
	runtime.GC() // beside a thread that polls
	if err := stop(); err != nil {
		t.Error(err)
	}
	if r := total(g); r.Received != 1000 || r.Replied != 1000 {
		t.Errorf("%d received, %d replied", r.Received, r.Replied)
	}
}

func TestReceiveBufferIsInTheUnitOfTheRequest(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, ReceiveBuffer: 100_000})
	if asked, granted := g.ReceiveBuffer(); asked != 100_000 || granted != 100_000 {
		t.Errorf("asked %d, granted %d", asked, granted)
	}
	if r := total(g); r.BufferBytes != 200_000 {
		t.Errorf("the kernel's size is %d", r.BufferBytes)
	}
	least, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 1, ReceiveBuffer: 1}) // below the minimum of the kernel
	if asked, granted := least.ReceiveBuffer(); asked != 1 || granted < 256 {
		t.Errorf("asked %d, granted %d", asked, granted)
	}
}
