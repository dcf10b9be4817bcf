package loadgen

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// receiver is a socket with a large buffer, to read after all sends: on loopback, a datagram is in
// the receiver's queue when the send call returns.
func receiver(t testing.TB, network, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Skipf("needs %s: %v", address, err)
	}
	t.Cleanup(func() { conn.Close() })
	udp := conn.(*net.UDPConn)
	if err := udp.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return udp
}

// drain writes all queued datagrams to a Checker, and returns the number of datagrams of each
// source and their sizes.
func drain(t testing.TB, conn *net.UDPConn, r Result) (report Report, sources map[string]int, sizes []int) {
	t.Helper()
	checker := NewChecker(r.Run, r.Flows)
	sources = make(map[string]int)
	buf := make([]byte, 65536)
	for received := uint64(0); received < r.Sent; received++ {
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Errorf("%d of %d: %v", received, r.Sent, err)
			break
		}
		checker.Write(append(buf[:n:n], '\n'))
		sources[from.String()]++
		if !slices.Contains(sizes, n) {
			sizes = append(sizes, n)
		}
	}
	checker.Flush()
	return checker.Report(), sources, sizes
}

func TestRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		flows  int
		sent   uint64
		first  float64 // share of flow 0
		sizes  int
	}{
		{"count", Config{Count: 1000}, 16, 1000, 1. / 16, 0},
		{"rate and duration", Config{Rate: 10_000, Duration: 100 * time.Millisecond, Flows: 4}, 4, 1000, 1. / 4, 0},
		{"one flow, one at a time", Config{Count: 100, Flows: 1, Batch: 1}, 1, 100, 1, 0},
		{"heavy", Config{Rate: 50_000, Count: 4000, Flows: 8, Heavy: 0.9}, 8, 4000, 0.9, 0},
		{"heavy, flat out", Config{Count: 2000, Flows: 8, Heavy: 0.5, Batch: 10}, 8, 2000, 0.5, 0},
		{"size", Config{Count: 500, Size: 200}, 16, 500, 1. / 16, 200},
		{"GSO", Config{Count: 1003, Flows: 4, GSO: 8, Batch: 4, Size: 120}, 4, 1003, 1. / 4, 120},
		{"threads", Config{Count: 1001, Threads: min(2, runtime.NumCPU())}, 16, 1001, 1. / 16, 0},
		{"ipv6", Config{To: "[::1]:0", Count: 300}, 16, 300, 1. / 16, 0},
		{"ipv6 GSO", Config{To: "[::1]:0", Count: 300, GSO: 4, Flows: 3}, 3, 300, 1. / 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := c.config.To
			if at == "" {
				at = "127.0.0.1:0"
			}
			conn := receiver(t, "udp", at)
			c.config.To = conn.LocalAddr().String()
			r, err := Run(context.Background(), c.config)
			var segment *SegmentError
			if errors.As(err, &segment) {
				t.Skipf("needs UDP_SEGMENT, Linux 4.18: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			report, sources, sizes := drain(t, conn, r)
			if c.config.Duration > 0 { // missed: other processes had the CPU
				c.sent -= r.Missed
			}
			if r.Sent != c.sent || report.Total.Arrived != c.sent || report.Total.Reordered+report.Total.Doubled+report.Strange+r.Refused+failed(r) != 0 {
				t.Errorf("%+v\n%+v", r, report.Total)
			}
			if len(sources) != c.flows || len(r.Flows) != c.flows {
				t.Errorf("%d sources", len(sources))
			}
			if share := float64(r.Flows[0]) / float64(r.Sent); share < c.first-0.05 || share > c.first+0.05 {
				t.Errorf("flow 0 sent %.3f of all, not %.3f", share, c.first)
			}
			if c.sizes > 0 && !slices.Equal(sizes, []int{c.sizes}) {
				t.Errorf("sizes %v", sizes)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	conn := receiver(t, "udp4", "127.0.0.1:0")
	to := conn.LocalAddr().String()
	// The socket keeps the port, but accepts only datagrams from the discard port.
	err := sys.Control(conn, func(fd int) error {
		return unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 9})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, rate := range []float64{0, 20_000} {
		r, err := Run(context.Background(), Config{To: to, Rate: rate, Count: 500, Flows: 3})
		if err != nil || r.Sent != 500 || r.Refused != 500 || failed(r) != 0 {
			t.Errorf("rate %v: %+v, %v", rate, r, err)
		}
	}
}

func TestRunStops(t *testing.T) {
	conn := receiver(t, "udp4", "127.0.0.1:0")
	for _, rate := range []float64{0, 1, 1000} {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan Result)
		go func() {
			r, err := Run(ctx, Config{To: conn.LocalAddr().String(), Rate: rate})
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		if rate != 1 {
			if _, _, err := conn.ReadFromUDPAddrPort(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		<-done
	}
}

// The allocations of a run do not depend on the number of datagrams.
func TestNoAllocationPerDatagram(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool, which WriteBatch uses, forget at random: run without -race")
	}
	conn := receiver(t, "udp4", "127.0.0.1:0")
	measure := func(count uint64) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Run(context.Background(), Config{To: conn.LocalAddr().String(), Count: count, Flows: 4}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs
	}
	measure(1000)
	few, many := measure(1000), measure(51_000)
	if many > few+500 {
		t.Errorf("%d allocations for 1,000 datagrams, %d for 51,000", few, many)
	}
}

func BenchmarkSend(b *testing.B) {
	conn := receiver(b, "udp4", "127.0.0.1:0")
	b.ReportAllocs()
	if _, err := Run(context.Background(), Config{To: conn.LocalAddr().String(), Count: uint64(b.N)}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRender(b *testing.B) {
	text, err := newText(Config{Run: "abcdef", Flows: 16, GSO: 1})
	if err != nil {
		b.Fatal(err)
	}
	now := appendTime(nil, time.Now())
	buf := make([]byte, 0, 200)
	b.ReportAllocs()
	for i := range b.N {
		buf = text.append(buf[:0], i%16, uint64(i), now)
	}
}

// failed returns the number of datagrams that the kernel refused to send.
func failed(r Result) (n uint64) {
	for _, count := range r.Errors {
		n += count
	}
	return n
}
