package shard

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"go4.org/netipx"

	"github.com/udpshard/udpshard/internal/rate"
)

// Policy says whose datagrams are handled. The zero Policy takes everybody's.
type Policy struct {
	// Allow are the source addresses whose datagrams are taken; nil is all.
	// Others' are counted as not allowed. An empty list that is not nil
	// allows nobody.
	Allow []netip.Prefix
	// RateLimit is how many datagrams a second are taken of one source
	// network, over all shards, after a burst of as many; 0 is any number.
	// Those above are counted as rate limited.
	RateLimit int
	// RateLimitPrefix4 and RateLimitPrefix6 are the lengths of the prefixes whose
	// addresses are one network to RateLimit, 1 to 32 and 1 to 128; 0 is 32 and 64.
	// Every IPv6 host has the addresses of a /64 (RFC 8981), and can send from each.
	// IPv4-mapped addresses are IPv4 addresses.
	RateLimitPrefix4, RateLimitPrefix6 int
}

// The lengths that Policy has where they are 0.
const (
	defaultRateLimitPrefix4 = 32
	defaultRateLimitPrefix6 = 64
)

// maxRate is one datagram a nanosecond, the limiter's unit.
const maxRate = rate.MaxPerSecond

// gate is a Policy in the form in which shards ask it.
type gate struct {
	allow *netipx.IPSet // nil: all
	rate  *limiter      // nil: any
}

// newGate compiles a policy. The rate limiter of the gate before goes on
// where its limits are the same, so that a reload does not fill the buckets.
func newGate(p Policy, before *gate) (*gate, error) {
	g := new(gate)
	if p.Allow != nil {
		var set netipx.IPSetBuilder
		for _, prefix := range p.Allow {
			set.AddPrefix(unmap(prefix))
		}
		var err error
		if g.allow, err = set.IPSet(); err != nil {
			return nil, &ConfigError{"Allow", err}
		}
	}
	limits := rateLimits{
		p.RateLimit,
		cmp.Or(p.RateLimitPrefix4, defaultRateLimitPrefix4),
		cmp.Or(p.RateLimitPrefix6, defaultRateLimitPrefix6),
	}
	switch {
	case limits.prefix4 < 1 || limits.prefix4 > 32:
		return nil, &ConfigError{"RateLimitPrefix4", fmt.Errorf("%d is not in 1 to 32", limits.prefix4)}
	case limits.prefix6 < 1 || limits.prefix6 > 128:
		return nil, &ConfigError{"RateLimitPrefix6", fmt.Errorf("%d is not in 1 to 128", limits.prefix6)}
	case p.RateLimit < 0 || p.RateLimit > maxRate:
		return nil, &ConfigError{"RateLimit", fmt.Errorf("%d is not in 0 (any) to %d", p.RateLimit, maxRate)}
	case p.RateLimit == 0:
	case before != nil && before.rate != nil && before.rate.limits == limits:
		g.rate = before.rate
	default:
		g.rate = newLimiter(limits)
	}
	return g, nil
}

// unmap turns a prefix of IPv4-mapped addresses into one of IPv4 addresses,
// which is what their datagrams' sources are.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// verdict is what a gate says of a datagram.
type verdict int

const (
	pass verdict = iota
	notAllowed
	rateLimited
)

func (g *gate) open() bool { return g.allow == nil && g.rate == nil }

// Accepts applies the policy to a source: see engine.Handle.
func (g handle) Accepts(source netip.Addr) bool {
	gate := g.gate.Load()
	return gate.open() || gate.judge(source, time.Since(g.began)) == pass
}

// judge is called by every shard's thread, at a time on the process's
// monotonic clock.
func (g *gate) judge(source netip.Addr, now time.Duration) verdict {
	source = source.WithZone("")
	if g.allow != nil && !g.allow.Contains(source) {
		return notAllowed
	}
	if g.rate != nil && !g.rate.take(source, now) {
		return rateLimited
	}
	return pass
}
