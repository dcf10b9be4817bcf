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
	benchmarkShard(b, func(b *testing.B, s *shard, send func(datagrams int)) {
		var spent time.Duration
		for range b.N {
			send(queued)
			began := time.Now()
			if err := s.readQueue(s.fd); err != nil {
				b.Fatal(err)
			}
			spent += time.Since(began)
		}
		b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N)/queued, "ns/datagram")
	})
}

// BenchmarkProcessBatch measures the shard's part of BenchmarkReadQueue, without the kernel's: a
// received batch is processed again and again.
func BenchmarkProcessBatch(b *testing.B) {
	benchmarkShard(b, func(b *testing.B, s *shard, send func(datagrams int)) {
		send(s.group.config.Batch)
		s.receiver.Reset()
		n, err := s.receiver.Receive(s.fd, 0)
		if err != nil {
			b.Fatal(err)
		}
		now := time.Now()
		for b.Loop() {
			if err := s.processBatch(s.fd, n, now); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/datagram")
	})
}

// benchmarkShard calls measure with a shard, for each kind of policy. send sends to the shard.
func benchmarkShard(b *testing.B, measure func(b *testing.B, s *shard, send func(datagrams int))) {
	policy := Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RateLimit: maxRate}
	for name, c := range map[string]Config{
		"plain": {}, "policy": {Policy: policy}, "gro": {GRO: true},
		"not allowed":  {Policy: Policy{Allow: []netip.Prefix{}}},
		"rate limited": {Policy: Policy{RateLimit: 1}},
	} {
		b.Run(name, func(b *testing.B) {
			c.Address, c.Shards, c.OneWay = "127.0.0.1:0", 1, true
			g, err := Listen(c)
			if err != nil {
				b.Fatal(err)
			}
			defer g.Close()
			from := newLoopbackSender(b, handle{g})
			fd := from.socket(g.Addr().Addr())
			defer unix.Close(fd)
			from.payload = make([]byte, 100)
			b.ReportAllocs()
			measure(b, g.shards[0], func(datagrams int) { from.write(fd, datagrams) })
			b.ReportMetric(0, "ns/op")
		})
	}
}
