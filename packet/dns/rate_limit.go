package dns

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"time"

	"go4.org/netipx"

	"github.com/udpshard/udpshard/internal/rate"
)

// MaxSlip is the largest RateLimits.Slip.
const MaxSlip = rate.MaxNth

// RateLimits are the limits of a RateLimiter. The zero RateLimits limit nothing.
type RateLimits struct {
	// PerSecond is how many equal responses a network gets per second (see RateLimiter), after a
	// burst of the same number; 0 is no limit.
	PerSecond int
	// AllPerSecond is how many responses of all kinds together a network gets per second, after a
	// burst of the same number; 0 is no limit. Responses above PerSecond do not count.
	AllPerSecond int
	// Slip says which responses above the limit are sent without records instead of dropped: every
	// Slip-th response to a network. 0 is none, 1 all, up to MaxSlip.
	Slip int
	// Prefix4 and Prefix6 are the prefix lengths of networks; 0 is 24 and 56.
	Prefix4, Prefix6 int
	// Exempt networks have no limit.
	Exempt []netip.Prefix
}

// DefaultRateLimits returns limits that honest clients do not reach.
//
// PerSecond is 200, as in NSD. A cache asks for a name once in its TTL: at 30 s, 200 a second is
// 6000 caches in a /24. A victim gets at most 200 times 1232 bytes a second for each name, 2
// Mbit/s. BIND has no limit by default. Knot counts all responses to an address together (50, and
// 1600 for a /24): a large resolver exceeds these limits without asking for anything twice.
//
// AllPerSecond is 0, as in BIND: the clients of a large network ask for thousands of names at the
// same time, and each name costs them a query in its TTL.
//
// Slip is 2, as in BIND and NSD: the server sends less than it receives, in packets and in bytes,
// and a client with a forged address gets a reply by the second try. The other half of the replies
// is silence, which leaves an attacker more time to answer in place of the server. Where zones are
// not signed and clients can use TCP, Slip 1 (as in Knot) is the better choice: each query costs a
// reply, but nothing is amplified.
//
// The prefixes are those of BIND: the network of a victim's link, and the network of a customer, so
// that a forger cannot multiply the rate within either. Loopback is exempt: no other host can forge
// loopback addresses, and the host's own tools measure from there.
func DefaultRateLimits() RateLimits {
	return RateLimits{
		PerSecond: 200,
		Slip:      2,
		Prefix4:   24,
		Prefix6:   56,
		Exempt:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

// rateClass divides responses for the rate limit, and says which name the responses of a class have
// in common. Where an attacker could choose the name of each query freely, that name is not the
// query's (as in BIND and NSD).
type rateClass uint8

const (
	// rateAnswer: a response with records. The name is the query's or, for a wildcard, the
	// wildcard's.
	rateAnswer rateClass = iota
	// rateNoData: the name exists, without the type. The name is as in rateAnswer.
	rateNoData
	// rateReferral: a delegation. The name is the delegation's.
	rateReferral
	// rateNXDomain: the name does not exist. The name is the zone's: an attacker who knows names of
	// the zone could ask below each of them.
	rateNXDomain
	// rateError: REFUSED, FORMERR, NOTIMP and other errors, and replies to queries for a cookie
	// without a question. The class has no name: all errors to a network count together (as
	// errors-per-second in BIND), since a forger can cause any of them, and errors are as short as
	// their queries.
	rateError
)

// verdict is the decision about a response.
type verdict uint8

const (
	verdictSend verdict = iota
	// verdictSlip: send the question without records, so that an honest client asks again:
	// BADCOOKIE with a cookie if the client sent a cookie (see Options.Cookies), else TC, for TCP. An error
	// is sent unchanged: it has no records.
	verdictSlip
	verdictDrop
)

// RateLimiter limits responses, so that the server is no use as a reflector: a victim whose address
// is forged gets responses up to the limit. Responses are equal, and share a limit over all shards,
// if the networks of their sources, their classes (answer, no data, referral, NXDOMAIN, error) and
// their names are equal. A nil RateLimiter sends every response.
//
// A RateLimiter needs 1 MiB, for 65,536 kinds of responses whose burst is partly used
// (internal/rate). At the default limit, the table is large enough for 13 million different
// responses a second. If the table is full, the kind that is nearest to a whole burst is forgotten,
// and gets a new burst: a full table limits no response. AllPerSecond needs another 1 MiB. Without
// AllPerSecond, an attack with many names has a limit for each name, but none for their sum.
type RateLimiter struct {
	kinds    *rate.Table  // by network, class and name; nil is no limit
	all      *rate.Table  // by network; nil is no limit
	seed     maphash.Seed // random: clients choose names and addresses
	slip     int
	networks rate.Networks
	exempt   *netipx.IPSet // nil is none
}

// NewRateLimiter returns a RateLimiter, or nil if the limits limit nothing. An error names the
// limit that is out of range.
func NewRateLimiter(limits RateLimits) (*RateLimiter, error) {
	for _, limit := range []struct {
		name         string
		value, limit int
	}{
		{"responses a second", limits.PerSecond, rate.MaxPerSecond},
		{"responses of all kinds a second", limits.AllPerSecond, rate.MaxPerSecond},
		{"slip", limits.Slip, MaxSlip},
		{"IPv4 prefix length", limits.Prefix4, 32},
		{"IPv6 prefix length", limits.Prefix6, 128},
	} {
		if limit.value < 0 || limit.value > limit.limit {
			return nil, fmt.Errorf("%s: %d is not in 0 to %d", limit.name, limit.value, limit.limit)
		}
	}
	if limits.Prefix4 == 0 {
		limits.Prefix4 = 24
	}
	if limits.Prefix6 == 0 {
		limits.Prefix6 = 56
	}
	l := &RateLimiter{
		seed:     maphash.MakeSeed(),
		slip:     limits.Slip,
		networks: rate.NewNetworks(limits.Prefix4, limits.Prefix6),
	}
	if len(limits.Exempt) > 0 {
		var set netipx.IPSetBuilder
		for _, p := range limits.Exempt {
			if p.Addr().Is4In6() && p.Bits() >= 96 {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			set.AddPrefix(p)
		}
		var err error
		if l.exempt, err = set.IPSet(); err != nil {
			return nil, fmt.Errorf("exempt networks: %w", err)
		}
	}
	if limits.PerSecond == 0 && limits.AllPerSecond == 0 {
		return nil, nil
	}
	if limits.PerSecond > 0 {
		l.kinds = rate.NewTable(limits.PerSecond)
	}
	if limits.AllPerSecond > 0 {
		l.all = rate.NewTable(limits.AllPerSecond)
	}
	return l, nil
}

// decide counts a response to source, and returns the verdict. name is the name of the class, in
// wire form or as text, always in the same form; upper and lower case are equal. now is the time on
// a monotonic clock that all callers share. Any thread may call decide, which does not allocate.
func (l *RateLimiter) decide(source netip.Addr, class rateClass, name []byte, now time.Duration) verdict {
	if l == nil {
		return verdictSend
	}
	allowed, slip := true, false
	if l.kinds != nil {
		allowed, slip = l.count(l.kinds, l.key(source, class, name), now)
	}
	if allowed && l.all != nil {
		allowed, slip = l.count(l.all, l.key(source, rateError, nil), now) // a key without a name
	}
	switch {
	case allowed, l.exempt != nil && l.exempt.Contains(source.Unmap().WithZone("")): // checked last: the most expensive check
		return verdictSend
	case slip:
		return verdictSlip
	}
	return verdictDrop
}

// count counts a response in a table. slip is true for every slip-th response that is not allowed.
func (l *RateLimiter) count(t *rate.Table, key uint64, now time.Duration) (allowed, slip bool) {
	if l.slip == 0 {
		return t.Allow(key, now), false
	}
	return t.AllowNth(key, now, l.slip)
}

// key hashes the network, the class and the name of a response.
func (l *RateLimiter) key(source netip.Addr, class rateClass, name []byte) uint64 {
	network := source.As16()
	l.networks.Mask(source, &network)
	var buf [64]byte // most names fit; longer names are hashed in parts
	copy(buf[:], network[:])
	buf[16] = byte(class)
	if class == rateError {
		name = nil
	}
	for start := 17; ; start = 8 {
		n := min(len(buf)-start, len(name))
		lowerInto(buf[start:], name[:n])
		hash := maphash.Bytes(l.seed, buf[:start+n])
		if name = name[n:]; len(name) == 0 {
			return hash
		}
		binary.LittleEndian.PutUint64(buf[:], hash)
	}
}
