package shard

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/internal/rate"
)

// limiter limits the rate of each source network over all shards. The table has room for
// rate.Capacity networks: only networks that send within the same second compete for the room. A
// network that the table has forgotten may exceed its limit.
type limiter struct {
	limits   rateLimits
	networks rate.Networks
	seed     maphash.Seed
	table    *rate.Table
}

type rateLimits struct{ perSecond, prefix4, prefix6 int }

func newLimiter(limits rateLimits) *limiter {
	return &limiter{
		limits:   limits,
		networks: rate.NewNetworks(limits.prefix4, limits.prefix6),
		seed:     maphash.MakeSeed(),
		table:    rate.NewTable(limits.perSecond),
	}
}

// allow reports whether the network of source may send one more datagram now.
func (l *limiter) allow(source netip.Addr, now time.Duration) bool {
	network := source.As16()
	l.networks.Mask(source, &network)
	return l.table.Allow(maphash.Bytes(l.seed, network[:]), now)
}
