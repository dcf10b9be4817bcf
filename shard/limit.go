package shard

import (
	"hash/maphash"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/internal/rate"
)

// limiter counts datagrams per source address over all shards. Its table has
// room for rate.Places sources at once: only sources that are active within
// the same second compete for it, and one that is forgotten may send more
// than its limit.
type limiter struct {
	perSecond int
	seed      maphash.Seed
	table     *rate.Table
}

func newLimiter(perSecond int) *limiter {
	return &limiter{
		perSecond: perSecond,
		seed:      maphash.MakeSeed(),
		table:     rate.NewTable(perSecond),
	}
}

// take says whether source may send one more datagram now.
func (l *limiter) take(source netip.Addr, now time.Duration) bool {
	addr := source.As16()
	return l.table.Take(maphash.Bytes(l.seed, addr[:]), now)
}
