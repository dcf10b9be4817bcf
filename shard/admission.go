package shard

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"go4.org/netipx"

	"github.com/udpshard/udpshard/internal/rate"
)

// Policy is the admission policy: whose datagrams are handled. The zero Policy accepts all
// datagrams.
type Policy struct {
	// Allow are the source addresses whose datagrams are accepted; nil is all addresses. The other
	// datagrams are counted as not allowed. An empty list that is not nil allows no address.
	Allow []netip.Prefix
	// RateLimit is how many datagrams a second are accepted from one source network, over all
	// shards, after a burst of as many datagrams; 0 is no limit. The other datagrams are counted
	// as rate limited.
	RateLimit int
	// RateLimitPrefix4 and RateLimitPrefix6 are the prefix lengths of a source network for
	// RateLimit, 1 to 32 and 1 to 128; 0 is 32 and 64. An IPv6 host has the addresses of a /64
	// (RFC 8981), and can send from each of them. IPv4-mapped addresses are IPv4 addresses.
	RateLimitPrefix4, RateLimitPrefix6 int
}

// Defaults of Policy.
const (
	defaultRateLimitPrefix4 = 32
	defaultRateLimitPrefix6 = 64
)

// maxRate is one datagram a nanosecond, the unit of the limiter.
const maxRate = rate.MaxPerSecond

// admission is a compiled Policy.
type admission struct {
	allow   *netipx.IPSet // nil: all addresses
	limiter *limiter      // nil: no limit
}

// newAdmission compiles a policy. If the rate limits are those of the previous policy, the limiter
// continues: a reload does not refill the bursts.
func newAdmission(p Policy, previous *admission) (*admission, error) {
	a := new(admission)
	if p.Allow != nil {
		var set netipx.IPSetBuilder
		for _, prefix := range p.Allow {
			set.AddPrefix(unmap(prefix))
		}
		var err error
		if a.allow, err = set.IPSet(); err != nil {
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
	case previous != nil && previous.limiter != nil && previous.limiter.limits == limits:
		a.limiter = previous.limiter
	default:
		a.limiter = newLimiter(limits)
	}
	return a, nil
}

// unmap converts a prefix of IPv4-mapped addresses to a prefix of IPv4 addresses, the form of
// sources.
func unmap(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

type verdict int

const (
	accepted verdict = iota
	notAllowed
	rateLimited
)

func (a *admission) acceptsAll() bool { return a.allow == nil && a.limiter == nil }

// check applies the policy to a datagram at a time on the process's monotonic clock. Any thread may
// call it.
func (a *admission) check(source netip.Addr, now time.Duration) verdict {
	source = source.WithZone("")
	if a.allow != nil && !a.allow.Contains(source) {
		return notAllowed
	}
	if a.limiter != nil && !a.limiter.allow(source, now) {
		return rateLimited
	}
	return accepted
}

// SetPolicy replaces the policy from the next batch on. After an error, a *ConfigError, the
// previous policy stays.
func (g *Group) SetPolicy(p Policy) error {
	a, err := newAdmission(p, g.admission.Load())
	if err != nil {
		return err
	}
	g.admission.Store(a)
	return nil
}

// Accepts applies the policy to a source: see engine.Handle.
func (g handle) Accepts(source netip.Addr) bool {
	a := g.admission.Load()
	return a.acceptsAll() || a.check(source, time.Since(g.began)) == accepted
}
