package dns

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newLimiter(t testing.TB, limits RateLimits) *RateLimiter {
	t.Helper()
	l, err := NewRateLimiter(limits)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestRateLimitsAreChecked(t *testing.T) {
	for _, test := range []struct {
		limits RateLimits
		want   string // of the error
		none   bool
	}{
		{limits: RateLimits{}, none: true},
		{limits: DefaultRateLimits()},
		{limits: RateLimits{PerSecond: 1, Slip: 16, Prefix4: 32, Prefix6: 128}},
		{limits: RateLimits{PerSecond: -1}, want: "responses a second: -1 is not in 0 to 1000000000"},
		{limits: RateLimits{AllPerSecond: 1, Slip: 1}},
		{limits: RateLimits{AllPerSecond: 1_000_000_001}, want: "responses of all kinds a second: 1000000001 is not in 0 to 1000000000"},
		{limits: RateLimits{Slip: 17}, want: "slip: 17 is not in 0 to 16"},
		{limits: RateLimits{Prefix4: 33}, want: "IPv4 prefix length: 33 is not in 0 to 32"},
		{limits: RateLimits{Prefix6: 129}, want: "IPv6 prefix length: 129 is not in 0 to 128"},
		{limits: RateLimits{Exempt: make([]netip.Prefix, 1)}, want: "exempt networks: "},
	} {
		l, err := NewRateLimiter(test.limits)
		if test.want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%+v: error %v, want %s", test.limits, err, test.want)
			}
			continue
		}
		if err != nil || (l == nil) != test.none {
			t.Errorf("%+v: %v, %v", test.limits, l, err)
		}
	}
}

// TestRateSame checks which responses share a limit of 1.
func TestRateSame(t *testing.T) {
	const long = "a-name-that-does-not-fit-into-one-part-of-what-is-hashed-at-once.since-it-is-longer-than-sixty-four-bytes.example."
	for _, test := range []struct {
		source1, source2 string
		class1, class2   rateClass
		name1, name2     string
		same             bool
	}{
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", true},
		{"192.0.2.1", "192.0.2.255", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", true},
		{"192.0.2.1", "::ffff:192.0.2.9", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", true},
		{"192.0.2.1", "192.0.3.1", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", false},
		{"2001:db8:0:ff::1", "2001:db8::2", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", true},
		{"2001:db8:0:100::1", "2001:db8::2", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", false},
		{"fe80::1%lo", "fe80::1", rateAnswer, rateAnswer, "\x07example\x00", "\x07example\x00", true},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "\x07example\x00", "\x07eXAMPLE\x00", true},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "\x07example\x00", "\x07examplf\x00", false},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "\x07example\x00", "\x07example", false},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, long, strings.ToUpper(long), true},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "a" + long, "b" + long, false},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, long + "a", long + "b", false},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateAnswer, "", "", true},
		{"192.0.2.1", "192.0.2.1", rateAnswer, rateNoData, "\x07example\x00", "\x07example\x00", false},
		{"192.0.2.1", "192.0.2.1", rateReferral, rateNXDomain, "\x07example\x00", "\x07example\x00", false},
		{"192.0.2.1", "192.0.2.1", rateError, rateError, "\x01a\x00", "\x01b\x00", true},
	} {
		l := newLimiter(t, RateLimits{PerSecond: 1})
		if got := l.decide(netip.MustParseAddr(test.source1), test.class1, []byte(test.name1), time.Hour); got != verdictSend {
			t.Fatalf("%+v: the first is not sent", test)
		}
		got := l.decide(netip.MustParseAddr(test.source2), test.class2, []byte(test.name2), time.Hour)
		if (got == verdictDrop) != test.same {
			t.Errorf("%+v: the second has verdict %d", test, got)
		}
	}
}

func TestRatePrefixes(t *testing.T) {
	for _, test := range []struct {
		prefix4, prefix6 int
		other            string // differs from address in a single bit
		address          string
		same             bool
	}{
		{32, 0, "192.0.2.0", "192.0.2.1", false},
		{31, 0, "192.0.2.0", "192.0.2.1", true},
		{1, 0, "128.0.0.0", "192.0.0.0", true},
		{1, 0, "0.0.0.0", "128.0.0.0", false},
		{0, 128, "2001:db8::", "2001:db8::1", false},
		{0, 127, "2001:db8::", "2001:db8::1", true},
		{0, 64, "2001:db8::", "2001:db8::8000:0:0:0", true},
		{0, 65, "2001:db8::", "2001:db8::8000:0:0:0", false},
		{0, 64, "2001:db8::", "2001:db8:0:1::", false},
		{0, 63, "2001:db8::", "2001:db8:0:1::", true},
	} {
		l := newLimiter(t, RateLimits{PerSecond: 1, Prefix4: test.prefix4, Prefix6: test.prefix6})
		l.decide(netip.MustParseAddr(test.other), rateError, nil, time.Hour)
		if got := l.decide(netip.MustParseAddr(test.address), rateError, nil, time.Hour); (got == verdictDrop) != test.same {
			t.Errorf("%+v: verdict %d", test, got)
		}
	}
}

func TestSlipIsExact(t *testing.T) {
	source, name := netip.MustParseAddr("192.0.2.1"), []byte("\x07example\x00")
	for slip := range 17 {
		l := newLimiter(t, RateLimits{PerSecond: 10, Slip: slip})
		var verdicts [3]int
		for range 10 + 1600 {
			v := l.decide(source, rateAnswer, name, time.Hour)
			verdicts[v]++
			limited := verdicts[verdictSlip] + verdicts[verdictDrop]
			if want := slip > 0 && limited > 0 && limited%slip == 0; (v == verdictSlip) != want {
				t.Fatalf("slip %d: the limited response %d has verdict %d", slip, limited, v)
			}
		}
		if verdicts[verdictSend] != 10 {
			t.Errorf("slip %d: %d sent, want the burst of 10", slip, verdicts[verdictSend])
		}
	}
}

func TestExempt(t *testing.T) {
	limits := RateLimits{PerSecond: 1, Exempt: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("::ffff:198.51.100.0/120")}}
	for source, want := range map[string]verdict{
		"192.0.2.1": verdictSend, "::ffff:192.0.2.1": verdictSend, "192.0.2.128": verdictDrop, "2001:db8::1": verdictSend, "2001:db9::1": verdictDrop, "198.51.100.1": verdictSend,
	} {
		l := newLimiter(t, limits)
		l.decide(netip.MustParseAddr(source), rateError, nil, time.Hour)
		if got := l.decide(netip.MustParseAddr(source), rateError, nil, time.Hour); got != want {
			t.Errorf("%s: verdict %d, want %d", source, got, want)
		}
	}
	l := newLimiter(t, DefaultRateLimits())
	for range 1000 {
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			if got := l.decide(netip.MustParseAddr(loopback), rateError, nil, time.Hour); got != verdictSend {
				t.Fatalf("%s: verdict %d", loopback, got)
			}
		}
	}
}

// AllPerSecond limits the responses of all names, classes and clients of a network, and responses
// that PerSecond refuses do not count. Every Slip-th refused response slips.
func TestAllPerSecond(t *testing.T) {
	for _, perSecond := range []int{0, 10} {
		l := newLimiter(t, RateLimits{PerSecond: perSecond, AllPerSecond: 100, Slip: 2})
		var verdicts [3]int
		for i := range 300 {
			source := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
			verdicts[l.decide(source, rateClass(i%int(rateError)), fmt.Append(nil, "\x03", 100+i), time.Hour)]++
		}
		if verdicts != [3]int{verdictSend: 100, verdictSlip: 100, verdictDrop: 100} {
			t.Errorf("%d a second of a kind: verdicts %v", perSecond, verdicts)
		}
		if got := l.decide(netip.MustParseAddr("198.51.100.1"), rateAnswer, []byte("\x03100"), time.Hour); got != verdictSend {
			t.Errorf("another network: verdict %d", got)
		}
	}
	l := newLimiter(t, RateLimits{PerSecond: 10, AllPerSecond: 100})
	source, sent := netip.MustParseAddr("192.0.2.1"), 0
	for _, name := range []string{"\x01a", "\x01b"} {
		for range 200 {
			if l.decide(source, rateAnswer, []byte(name), time.Hour) == verdictSend {
				sent++
			}
		}
	}
	for i := range 200 {
		if l.decide(source, rateAnswer, fmt.Append(nil, "\x03", 100+i), time.Hour) == verdictSend {
			sent++
		}
	}
	if sent != 100 {
		t.Errorf("%d sent, want 10 of each of two names, and 80 others", sent)
	}
}

func TestRateLimiterOff(t *testing.T) {
	if got := (*RateLimiter)(nil).decide(netip.Addr{}, rateError, nil, 0); got != verdictSend {
		t.Errorf("verdict %d", got)
	}
}

// In an attack with the addresses of a network, only that network is limited: neither honest
// clients nor a flood of forged addresses all over the Internet, with more networks than the table
// has room for.
func TestAttack(t *testing.T) {
	for _, test := range []struct {
		name   string
		others int // responses a second, each to another network
	}{
		{"few others", 50_000},
		{"more others than the table holds", 20_000_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			limits := DefaultRateLimits()
			l := newLimiter(t, limits)
			random := rand.New(rand.NewPCG(1, 2))
			name := []byte("\x03www\x07example\x00")
			const attack = 50_000 // responses a second, for 25 ms
			step := time.Second / time.Duration(attack+test.others)
			var victim [3]int
			limited := 0
			for now := time.Hour; now < time.Hour+time.Second/40; now += step {
				if random.IntN(attack+test.others) < attack {
					victim[l.decide(netip.AddrFrom4([4]byte{192, 0, 2, byte(random.Uint32())}), rateAnswer, name, now)]++
					continue
				}
				r := random.Uint64()
				other := netip.AddrFrom16([16]byte{0x20, 1, byte(r), byte(r >> 8), byte(r >> 16), byte(r >> 24), byte(r >> 32)})
				if l.decide(other, rateAnswer, name, now) != verdictSend {
					limited++
				}
			}
			if limited > 0 {
				t.Errorf("%d responses to others are limited", limited)
			}
			want := limits.PerSecond + limits.PerSecond/40
			if victim[verdictSend] > want || victim[verdictSend] < want-1 {
				t.Errorf("%d sent to the victim, want %d", victim[verdictSend], want)
			}
			if d := victim[verdictDrop] - victim[verdictSlip]; d < 0 || d > 1 {
				t.Errorf("%d dropped, %d slipped: not every second", victim[verdictDrop], victim[verdictSlip])
			}
		})
	}
}

func TestRateThreads(t *testing.T) {
	l := newLimiter(t, RateLimits{PerSecond: 1000, Slip: 2})
	const threads, tries = 4, 10_000
	var verdicts [3]atomic.Int64
	var wait sync.WaitGroup
	for thread := range byte(threads) {
		wait.Go(func() {
			name := []byte("\x07example\x00")
			for i := range tries {
				verdicts[l.decide(netip.AddrFrom4([4]byte{192, 0, 2, thread}), rateAnswer, name, time.Hour)].Add(1)
				if l.decide(netip.AddrFrom4([4]byte{10, thread, byte(i >> 8), 1}), rateNXDomain, name, time.Hour) != verdictSend {
					t.Error("pays for others")
				}
			}
		})
	}
	wait.Wait()
	limited := int64(threads*tries - 1000)
	if verdicts[verdictSend].Load() != 1000 || verdicts[verdictSlip].Load() != limited/2 || verdicts[verdictDrop].Load() != limited/2 {
		t.Errorf("%d sent, %d slipped, %d dropped", verdicts[verdictSend].Load(), verdicts[verdictSlip].Load(), verdicts[verdictDrop].Load())
	}
}

func TestRateNoAllocation(t *testing.T) {
	limits := DefaultRateLimits()
	limits.AllPerSecond = 1000
	l := newLimiter(t, limits)
	for _, source := range []string{"192.0.2.1", "2001:db8::1", "127.0.0.1"} {
		source := netip.MustParseAddr(source)
		for _, name := range []string{"", "\x03www\x07example\x00", strings.Repeat("\x3e"+strings.Repeat("a", 62), 4)} {
			name := []byte(name)
			if n := testing.AllocsPerRun(1000, func() { l.decide(source, rateAnswer, name, time.Hour) }); n != 0 {
				t.Errorf("%s %q: %v allocations", source, name, n)
			}
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	name := []byte("\x03www\x07example\x03com\x00")
	for _, networks := range []int{1, 1 << 20} {
		for _, perSecond := range []int{200, 1_000_000_000} {
			b.Run(fmt.Sprintf("%d networks, %d a second", networks, perSecond), func(b *testing.B) {
				limits := DefaultRateLimits()
				limits.PerSecond = perSecond
				l := newLimiter(b, limits)
				now, i := time.Hour, 0
				for b.Loop() {
					l.decide(netip.AddrFrom4([4]byte{10 + byte(i>>16)&0xf, byte(i >> 8), byte(i), 1}), rateAnswer, name, now)
					i = (i + 1) & (networks - 1)
					now += 250
				}
			})
		}
	}
	b.Run("one network, all threads", func(b *testing.B) {
		l := newLimiter(b, DefaultRateLimits())
		source := netip.MustParseAddr("192.0.2.1")
		b.RunParallel(func(pb *testing.PB) {
			for now := time.Hour; pb.Next(); now += 250 {
				l.decide(source, rateAnswer, name, now)
			}
		})
	})
	b.Run("long name", func(b *testing.B) {
		l, long := newLimiter(b, DefaultRateLimits()), bytes.Repeat(append([]byte{62}, bytes.Repeat([]byte{'a'}, 62)...), 4)
		source := netip.MustParseAddr("192.0.2.1")
		for b.Loop() {
			l.decide(source, rateAnswer, long, time.Hour)
		}
	})
}
