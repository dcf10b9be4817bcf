package shard

import (
	"net/netip"
	"testing"
	"time"
)

func BenchmarkLimiter(b *testing.B) {
	for _, test := range []struct {
		name    string
		sources int
	}{{"one source", 1}, {"4096 sources", 4096}, {"1048576 sources", 1 << 20}} {
		b.Run(test.name, func(b *testing.B) {
			l := newLimiter(rateLimits{1000, 32, 64})
			addrs := make([]netip.Addr, test.sources)
			for i := range addrs {
				addrs[i] = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			}
			now := time.Hour
			i := 0
			for b.Loop() {
				l.allow(addrs[i&(len(addrs)-1)], now)
				i++
				now += 250
			}
		})
	}
}

func BenchmarkLimiterIPv6(b *testing.B) {
	l := newLimiter(rateLimits{1000, 32, 64})
	source := netip.MustParseAddr("2001:db8::1")
	now := time.Hour
	for b.Loop() {
		l.allow(source, now)
		now += 250
	}
}
