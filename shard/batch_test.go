package shard

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkReadQueue measures receive, admission policy and a handler that discards, for a queue of
// ten batches, without the sender's part.
func BenchmarkReadQueue(b *testing.B) {
	const queued = 640
	policy := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RateLimit: maxRate}
	for name, c := range map[string]Config{"plain": {}, "policy": {Policy: policy}, "gro": {GRO: true}} {
		b.Run(name, func(b *testing.B) {
			c.Address, c.Shards, c.OneWay = "127.0.0.1:0", 1, true
			g, err := Listen(c)
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			s := g.shards[0]
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer unix.Close(fd)
			at := g.Addr()
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}); err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, 100)
			b.ReportAllocs()
			var spent time.Duration
			for range b.N {
				for range queued {
					if _, err := unix.Write(fd, payload); err != nil {
						b.Fatal(err)
					}
				}
				began := time.Now()
				if err := s.readQueue(s.fd); err != nil {
					b.Fatal(err)
				}
				spent += time.Since(began)
			}
			b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/queued, "ns/datagram")
			b.ReportMetric(0, "ns/op")
		})
	}
}
