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

// RateLimits say how many responses a network gets. The zero RateLimits
// limit nothing.
type RateLimits struct {
	// PerSecond is how many responses a second a network gets that are the
	// same to a RateLimiter, after a burst of as many; 0 is any number.
	PerSecond int
	// Slip is which of the responses above that are not dropped but told to
	// come back otherwise: every Slip-th of a network's own. 0 is none, 1
	// all, up to MaxSlip.
	Slip int
	// Prefix4 and Prefix6 are how long the prefixes are whose addresses are
	// one network; 0 is 24 and 56.
	Prefix4, Prefix6 int
	// Exempt are networks whose responses are never limited; nil is none.
	Exempt []netip.Prefix
}

// DefaultRateLimits returns limits that honest clients don't meet.
//
// 200 a second is NSD's limit. A cache asks for a name once in its TTL: at
// 30 s that is 6000 caches in one /24. A victim gets 200 times 1232 bytes a
// second of a name at most, 2 Mbit/s. BIND limits nothing unless told, and
// Knot counts all responses of an address together (50, and 1600 for a /24),
// which a large resolver exceeds without asking for anything twice.
//
// Slip is 2, as in BIND and NSD: less is sent than comes in, packets and
// bytes, and a client whose address is forged hears of it by its second try.
// The other half is silence, which gives a forger more time to answer in our
// place: where zones are not signed and TCP is answered, 1 (Knot's) is the
// better choice, which costs an answer for each query but amplifies nothing.
//
// The prefixes are BIND's: what one victim's link has, and what one customer
// gets, so that a forger does not multiply its rate within either. Loopback
// is exempt, since its addresses can't be forged from elsewhere and a
// host's own tools measure from there.
func DefaultRateLimits() RateLimits {
	return RateLimits{
		PerSecond: 200,
		Slip:      2,
		Prefix4:   24,
		Prefix6:   56,
		Exempt:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
}

// rateClass tells responses apart that are counted apart, and says which name
// is what those of one class have in common: not the one that was asked
// where a forger could choose it freely, or each of its queries would be
// another one (that is how BIND and NSD count).
type rateClass uint8

const (
	// rateAnswer: there are records. The name that was asked, or, where a
	// wildcard made them, the wildcard's.
	rateAnswer rateClass = iota
	// rateNoData: the name exists, without that type. As in rateAnswer.
	rateNoData
	// rateReferral: the name is another server's. The delegation's name.
	rateReferral
	// rateNXDomain: there is no such name. The zone's.
	rateNXDomain
	// rateError: all that have nothing to say of a name: REFUSED, FORMERR, NOTIMP
	// and other errors, and cookies that are asked for without a question. None:
	// a network has one kind of them (as in BIND, errors-per-second), for a forger
	// can cause any, and they are as short as what causes them.
	rateError
)

// Verdict is what becomes of a response.
type verdict uint8

const (
	verdictSend verdict = iota
	// Slip: send no records, only the question and what brings an honest
	// client back otherwise: BADCOOKIE with a cookie where it has sent one
	// (see Cookies), else TC, for TCP. An error is sent as it is, since it is
	// as short and can't be truncated.
	verdictSlip
	verdictDrop
)

// RateLimiter limits responses against the use of a server as a reflector:
// who forges a victim's address gets no more than the limit sent there.
// Responses are the same to it, and counted together over all shards, if the
// networks of their sources, their classes and their names are the same. A
// nil RateLimiter sends everything.
//
// It keeps 1 MiB, whatever comes: 65,536 kinds of responses whose burst is
// not whole again (internal/rate). At the default limit that is 13 million
// responses a second of which no two are the same. Where that is too little,
// one that is nearer to its whole burst than others is forgotten, and gets a
// burst anew: that the table is full limits none. An attack that asks for
// many names is bounded for each of them, not for all together.
type RateLimiter struct {
	table    *rate.Table
	seed     maphash.Seed // for names and addresses are strangers' choice
	slip     int
	networks rate.Networks
	exempt   *netipx.IPSet // nil: none
}

// NewRateLimiter returns a RateLimiter, nil where the limits limit nothing.
// Its errors name the limit that is out of its range.
func NewRateLimiter(limits RateLimits) (*RateLimiter, error) {
	for _, limit := range []struct {
		name         string
		value, limit int
	}{
		{"responses a second", limits.PerSecond, rate.MaxPerSecond},
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
	if limits.PerSecond == 0 {
		return nil, nil
	}
	l.table = rate.NewTable(limits.PerSecond)
	return l, nil
}

// Decide says what becomes of a response to source, and counts it. The name
// is what class says, in wire form or as text, the same form in each call;
// upper and lower case are the same. now is a time on a monotonic clock that
// all callers share. Any thread may call it; it does not allocate.
func (l *RateLimiter) decide(source netip.Addr, class rateClass, name []byte, now time.Duration) verdict {
	if l == nil {
		return verdictSend
	}
	taken, slip := false, false
	if key := l.key(source, class, name); l.slip == 0 {
		taken = l.table.Allow(key, now)
	} else {
		taken, slip = l.table.AllowNth(key, now, l.slip)
	}
	switch {
	case taken, l.exempt != nil && l.exempt.Contains(source.Unmap().WithZone("")): // looked for last: it costs most
		return verdictSend
	case slip:
		return verdictSlip
	}
	return verdictDrop
}

// key hashes what the responses of a kind have in common.
func (l *RateLimiter) key(source netip.Addr, class rateClass, name []byte) uint64 {
	network := l.networks.Network(source)
	var buf [64]byte // most names fit; longer ones are hashed in parts
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
