package shard

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/internal/rate"
)

// limiter counts datagrams per source network over all shards. Its table has
// room for rate.Capacity networks at once: only networks that are active within
// the same second compete for it, and one that is forgotten may send more
// than its limit.
type limiter struct {
	limits   rateLimits
	networks rate.Networks
	seed     maphash.Seed
	table    *rate.Table
}

// rateLimits are what a limiter is made of.
type rateLimits struct{ perSecond, prefix4, prefix6 int }

func newLimiter(limits rateLimits) *limiter {
	return &limiter{
		limits:   limits,
		networks: rate.NewNetworks(limits.prefix4, limits.prefix6),
		seed:     maphash.MakeSeed(),
		table:    rate.NewTable(limits.perSecond),
	}
}

// take says whether source may send one more datagram now.
func (l *limiter) take(source netip.Addr, now time.Duration) bool {
	network := source.As16()
	l.networks.Mask(source, &network)
	return l.table.Allow(maphash.Bytes(l.seed, network[:]), now)
}
