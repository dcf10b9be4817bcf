package shard

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/rate"
	"github.com/udpshard/udpshard/internal/sys"
)

func TestErrnoPredicates(t *testing.T) {
	for _, test := range []struct {
		errno                                  unix.Errno
		empty, interrupted, outOfMemory, fatal bool
	}{
		{errno: unix.EAGAIN, empty: true},
		{errno: unix.EINTR, interrupted: true},
		{errno: unix.ENOMEM, outOfMemory: true},
		{errno: unix.ENOBUFS, outOfMemory: true},
		{errno: unix.ECONNREFUSED},
		{errno: unix.EHOSTUNREACH},
		{errno: unix.ENETUNREACH},
		{errno: unix.ENETDOWN},
		{errno: unix.EMSGSIZE},
		{errno: unix.EADDRNOTAVAIL, fatal: true},
		{errno: unix.EBADF, fatal: true},
		{errno: unix.ENOTSOCK, fatal: true},
		{errno: unix.EFAULT, fatal: true},
		{errno: unix.EINVAL, fatal: true},
		{errno: unix.EIO, fatal: true},
	} {
		if isEmpty(test.errno) != test.empty || isInterrupted(test.errno) != test.interrupted ||
			isOutOfMemory(test.errno) != test.outOfMemory || isFatal(test.errno) != test.fatal {
			t.Errorf("%v is misjudged", test.errno)
		}
	}
	if isFatal(nil) {
		t.Error("no error is fatal")
	}
}

func TestResolve(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:5514":        "127.0.0.1:5514",
		"[::1]:5514":            "[::1]:5514",
		"[::]:5514":             "[::]:5514",
		"0.0.0.0:5514":          "0.0.0.0:5514",
		"[::ffff:127.0.0.1]:53": "127.0.0.1:53",
		"localhost:1":           "127.0.0.1:1",
		"[fe80::1%lo]:7":        "[fe80::1%lo]:7",
	} {
		got, err := resolve(in)
		if err != nil || got.String() != want || got.dual {
			t.Errorf("%s is %s (dual %v), %v", in, got, got.dual, err)
		}
	}
	if got, err := resolve(":5514"); err != nil || sys.HaveIPv6() != got.dual || got.Port() != 5514 {
		t.Errorf(":5514 is %s, %v", got, err)
	}
	for _, in := range []string{"5514", "127.0.0.1", "::1:5514:x", "127.0.0.1:99999", "256.0.0.1:1", "[::1:5", "a b:1"} {
		if got, err := resolve(in); err == nil {
			t.Errorf("%s is taken for %s", in, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", false},
		{"127.0.0.1", "0.0.0.0", true},
		{"::1", "0.0.0.0", false},
		{"127.0.0.1", "::", true},
		{"::1", "::", true},
		{"::1", "::2", false},
	} {
		a, b := netip.MustParseAddr(test.a), netip.MustParseAddr(test.b)
		if overlap(a, b) != test.want || overlap(b, a) != test.want {
			t.Errorf("%s and %s", a, b)
		}
	}
}

// An address is this process's own while a group of the process is open there.
func TestOwnAddresses(t *testing.T) {
	wildcard := netip.MustParseAddrPort("0.0.0.0:9")
	at := address{AddrPort: netip.MustParseAddrPort("127.0.0.2:9")}
	other := address{AddrPort: netip.MustParseAddrPort("127.0.0.2:10")}
	inUse := new(InUseError)
	if inUse.isOwnGroup(at) {
		t.Error("there is no group yet")
	}
	g := open(t, Config{Address: "127.0.0.1:0", Shards: 1})
	if n := openGroups.byAddress[g.Addr()]; n != 1 {
		t.Errorf("%d groups of an open one", n)
	}
	if g.Close(); openGroups.byAddress[g.Addr()] != 0 {
		t.Error("a closed group counts")
	}
	countGroup(wildcard, 1)
	if !inUse.isOwnGroup(at) || inUse.isOwnGroup(other) {
		t.Errorf("beside a group of this process: %t, and at another port %t", inUse.isOwnGroup(at), inUse.isOwnGroup(other))
	}
	countGroup(wildcard, -1)
	if inUse.isOwnGroup(at) {
		t.Error("there is no group any more")
	}
	countGroup(wildcard, 1)
	countGroup(at.AddrPort, 1)
	if inUse.isOwnGroup(at) {
		t.Error("the very address is taken")
	}
	countGroup(at.AddrPort, -1)
	countGroup(wildcard, -1)
}

func TestLimiterRate(t *testing.T) {
	for _, perSecond := range []int{1, 7, 1000, 300_000, maxRate} {
		l := newLimiter(rateLimits{perSecond, 32, 64})
		source := netip.MustParseAddr("2001:db8::1")
		taken := 0
		const steps = 3000
		for i := range steps { // three seconds with at most 1000 tries each
			if l.allow(source, time.Hour+time.Duration(i)*time.Millisecond) {
				taken++
			}
		}
		if want := min(4*perSecond, steps); taken > want || taken < min(3*perSecond, steps)-1 {
			t.Errorf("%d/s: %d taken in 3 s, want a burst and three seconds' worth: %d", perSecond, taken, want)
		}
	}
}

func TestLimiterKeepsSourcesApart(t *testing.T) {
	l := newLimiter(rateLimits{1, 32, 64})
	addr := netip.MustParseAddr("10.0.0.0")
	for range 10_000 {
		addr = addr.Next()
		if !l.allow(addr, time.Hour) {
			t.Fatalf("%s pays for others", addr)
		}
		if l.allow(addr, time.Hour) {
			t.Fatalf("%s takes two at a limit of one", addr)
		}
	}
}

// The policy counts all addresses of a network as one source.
func TestRateLimitCountsNetworks(t *testing.T) {
	const addresses, seconds = 1000, 3
	for _, test := range []struct {
		name   string
		policy Policy
		first  string
		step   int // byte of the address that differs
		want   int
	}{
		{"a /64 by default", Policy{RateLimit: 1}, "2001:db8::", 15, 1 + seconds},
		{"link-local", Policy{RateLimit: 1}, "fe80::%lo", 15, 1 + seconds},
		{"many /64s by default", Policy{RateLimit: 1}, "2001:db8::", 7, addresses},
		{"a /48", Policy{RateLimit: 1, RateLimitPrefix6: 48}, "2001:db8::", 7, 1 + seconds},
		{"a /64, where each address counts", Policy{RateLimit: 1, RateLimitPrefix6: 128}, "2001:db8::", 15, addresses},
		{"IPv4 by default", Policy{RateLimit: 1}, "10.0.0.0", 3, addresses},
		{"IPv4 by /20", Policy{RateLimit: 1, RateLimitPrefix4: 20}, "10.0.0.0", 3, 1 + seconds},
		{"IPv4-mapped is IPv4", Policy{RateLimit: 1}, "::ffff:10.0.0.0", 15, addresses},
		{"IPv4-mapped by /20", Policy{RateLimit: 1, RateLimitPrefix4: 20, RateLimitPrefix6: 128}, "::ffff:10.0.0.0", 15, 1 + seconds},
	} {
		t.Run(test.name, func(t *testing.T) {
			gate, err := newAdmission(test.policy, nil)
			if err != nil {
				t.Fatal(err)
			}
			passed := 0
			for i := range addresses {
				b := netip.MustParseAddr(test.first).AsSlice()
				b[test.step-1], b[test.step] = byte(i>>8), byte(i)
				source, _ := netip.AddrFromSlice(b)
				now := time.Hour + time.Duration(i)*seconds*time.Second/(addresses-1)
				if gate.check(source.WithZone(netip.MustParseAddr(test.first).Zone()), now) == accepted {
					passed++
				}
			}
			if passed != test.want {
				t.Errorf("%d of %d addresses' datagrams pass in %d s at a limit of 1 a second, want %d", passed, addresses, seconds, test.want)
			}
		})
	}
}

// The zone of a source does not change whether the source is allowed.
func TestAllowIgnoresZones(t *testing.T) {
	for _, allow := range []string{"fe80::/10", "fe80::1/128"} {
		gate, err := newAdmission(Policy{Allow: []netip.Prefix{netip.MustParsePrefix(allow)}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for source, want := range map[string]verdict{"fe80::1": accepted, "fe80::1%lo": accepted, "fec0::1%lo": notAllowed} {
			if got := gate.check(netip.MustParseAddr(source), time.Hour); got != want {
				t.Errorf("%s of %s: %d, want %d", source, allow, got, want)
			}
		}
	}
}

// A policy with the same limits keeps the limiter; other limits begin a new limiter.
func TestLimiterStaysWithTheSameLimits(t *testing.T) {
	before, err := newAdmission(Policy{RateLimit: 5}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		policy Policy
		same   bool
	}{
		{Policy{RateLimit: 5}, true},
		{Policy{RateLimit: 5, RateLimitPrefix4: 32, RateLimitPrefix6: 64}, true},
		{Policy{RateLimit: 6}, false},
		{Policy{RateLimit: 5, RateLimitPrefix4: 24}, false},
		{Policy{RateLimit: 5, RateLimitPrefix6: 56}, false},
	} {
		after, err := newAdmission(test.policy, before)
		if err != nil {
			t.Fatal(err)
		}
		if same := after.limiter == before.limiter; same != test.same {
			t.Errorf("%+v: same limiter: %t", test.policy, same)
		}
	}
}

// A new source gets its share beside any number of sources, and the table does not grow.
func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(rateLimits{1, 32, 128})
	addr := netip.MustParseAddr("2001:db8::")
	for range 4 * rate.Capacity {
		addr = addr.Next()
		if !l.allow(addr, time.Hour) {
			t.Fatalf("%s pays for others", addr)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { addr = addr.Next(); l.allow(addr, time.Hour) }); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}
