package shard

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

// loopbackSender sends datagrams to an address of 127.0.0.0/8, each from a source that the test
// chooses.
type loopbackSender struct {
	t       testing.TB
	to      unix.SockaddrInet4
	payload []byte
}

func newLoopbackSender(t testing.TB, g handle) *loopbackSender {
	return &loopbackSender{t, unix.SockaddrInet4{Addr: g.Addr().Addr().As4(), Port: int(g.Addr().Port())}, []byte("x")}
}

// socket returns a socket with the source address 127.x.x.x. The caller closes the socket.
func (l *loopbackSender) socket(source netip.Addr) int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: source.As4()})
	}
	if err == nil {
		err = unix.Connect(fd, &l.to)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return fd
}

func (l *loopbackSender) write(fd, datagrams int) {
	for range datagrams {
		if _, err := unix.Write(fd, l.payload); err != nil {
			l.t.Fatal(err)
		}
	}
}

// send sends from a source, by a socket of its own.
func (l *loopbackSender) send(source string, datagrams int) {
	fd := l.socket(netip.MustParseAddr(source))
	defer unix.Close(fd)
	l.write(fd, datagrams)
}

// Each refused datagram is counted for its source and its reason, also if no datagram follows.
func TestRefusedSendersAreInTheLedger(t *testing.T) {
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Policy: Policy{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.1.0.0/16")}, RateLimit: 1, RateLimitPrefix4: 24}})
	if list := g.Listener().RefusedSenders(); list == nil || len(list) > 0 {
		t.Errorf("before a datagram: %#v", list)
	}
	from := newLoopbackSender(t, g)
	began, sent := time.Now().Truncate(time.Second), uint64(0)
	for _, f := range []struct {
		source    string
		datagrams int
	}{{"127.0.0.7", 30}, {"127.0.0.8", 20}, {"127.1.2.3", 51}, {"127.1.2.4", 51}} {
		from.send(f.source, f.datagrams)
		sent += uint64(f.datagrams)
		eventually(t, "no batch has datagrams of two sources", func() bool { return total(g).Received == sent })
	}
	var list []metrics.RefusedSender
	eventually(t, "all refused datagrams are in the list", func() bool {
		var sum uint64
		list = g.Listener().RefusedSenders()
		for _, s := range list {
			sum += s.NotAllowed + s.RateLimited
		}
		r := total(g)
		return sum == r.Dropped.NotAllowed+r.Dropped.RateLimited
	})
	limited := total(g).Dropped.RateLimited // a slow host accepts further datagrams of the network
	want := []metrics.RefusedSender{
		{Source: "127.1.2.0/24", RateLimited: limited},
		{Source: "127.0.0.7", NotAllowed: 30},
		{Source: "127.0.0.8", NotAllowed: 20},
	}
	for i, s := range list {
		if s.LastAt.Before(began) || s.LastAt.After(time.Now()) || s.LastAt.Location() != time.UTC {
			t.Errorf("%s: last at %s", s.Source, s.LastAt)
		}
		list[i].PerSecond, list[i].LastAt = 0, time.Time{}
	}
	if limited < 90 || !slices.Equal(list, want) {
		t.Errorf("%+v, want %+v", list, want)
	}
}

// A source whose datagrams are a part of each batch, in the same place of the batch, gets its share.
func TestRefusedSendersGetTheirShares(t *testing.T) {
	for _, order := range [][]string{{"127.0.0.7", "127.0.0.8"}, {"127.0.0.8", "127.0.0.7"}} {
		for _, policy := range []Policy{{Allow: []netip.Prefix{}}, {RateLimit: 1}} {
			g := open(t, Config{Address: "127.0.0.1:0", Shards: 1, Batch: 64, Policy: policy})
			defer g.Close()
			from, s := newLoopbackSender(t, g), g.shards[0]
			datagrams := map[string]int{"127.0.0.7": 48, "127.0.0.8": 16}
			const rounds = 1000
			for range rounds {
				for _, source := range order {
					from.send(source, datagrams[source])
				}
				if err := s.readQueue(s.fd); err != nil {
					t.Fatal(err)
				}
			}
			refused := &s.sketches.Filling().refused
			dropped := total(g).Dropped
			if sum := dropped.NotAllowed + dropped.RateLimited; refused.Total != sum || sum < (64*rounds)*9/10 {
				t.Errorf("the sketch has %d, and %d were refused", refused.Total, sum)
			}
			heaviest := refused.Heaviest(nil, 2)
			share := float64(heaviest[0].Weight) / float64(refused.Total)
			if heaviest[0].Key.source.Addr() != netip.MustParseAddr("127.0.0.7") || share < 0.68 || share > 0.82 { // 5 standard deviations
				t.Errorf("%q: %s has %.0f%% of the refused datagrams, want 127.0.0.7 with 75%%", order, heaviest[0].Key.source, 100*share)
			}
		}
	}
}

// A source with a tenth of the refused datagrams is first, beside 100,000 sources with one datagram.
func TestOneHeavyRefusedSenderAmongManyRandom(t *testing.T) {
	const sources = 100_000
	g, _ := start(t, Config{Address: "127.0.0.1:0", Shards: 2, Policy: Policy{Allow: []netip.Prefix{}}})
	from := newLoopbackSender(t, g)
	heavy := netip.MustParseAddr("127.9.9.9")
	fd := from.socket(heavy)
	defer unix.Close(fd)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range sources {
		if i%9 == 0 {
			from.write(fd, 1)
		}
		b := [4]byte{127}
		binary.BigEndian.PutUint16(b[1:], uint16(random.Uint32()))
		b[3] = byte(1 + random.IntN(254))
		other := from.socket(netip.AddrFrom4(b))
		from.write(other, 1)
		unix.Close(other)
	}
	var list []metrics.RefusedSender
	eventually(t, "the heavy sender comes first", func() bool {
		list = g.Listener().RefusedSenders()
		return len(list) == refusedSenders && list[0].Source == heavy.String()
	})
	if n := total(g).Dropped.NotAllowed; list[0].NotAllowed < n/20 || list[0].NotAllowed > n/5 {
		t.Errorf("%s has %d of %d refused datagrams, want a tenth", heavy, list[0].NotAllowed, n)
	}
}

// Refusing allocates nothing.
func TestRefusedSendersAllocateNothing(t *testing.T) {
	for name, policy := range map[string]Policy{"not allowed": {Allow: []netip.Prefix{}}, "rate limited": {RateLimit: 1}} {
		g := open(t, Config{Address: "127.0.0.1:0", Shards: 1, Policy: policy})
		defer g.Close()
		from, s := newLoopbackSender(t, g), g.shards[0]
		fd := from.socket(netip.MustParseAddr("127.0.0.1"))
		defer unix.Close(fd)
		if n := testing.AllocsPerRun(100, func() {
			from.write(fd, 100)
			if err := s.readQueue(s.fd); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for 100 datagrams", name, n)
		}
		if s.sketches.Filling().refused.Total < 10_000 {
			t.Errorf("%s: %d refused", name, s.sketches.Filling().refused.Total)
		}
	}
}

// The ledger has an address of a source that is not allowed, and a source network of the rate limit.
func TestSourceOfARefusal(t *testing.T) {
	for _, test := range []struct {
		source  string
		reason  verdict
		prefix4 int
		prefix6 int
		want    string
	}{
		{"192.0.2.77", notAllowed, 24, 0, "192.0.2.77"},
		{"192.0.2.77", rateLimited, 0, 0, "192.0.2.77"},
		{"192.0.2.77", rateLimited, 24, 0, "192.0.2.0/24"},
		{"2001:db8::1:2:3:4", notAllowed, 0, 48, "2001:db8::1:2:3:4"},
		{"2001:db8::1:2:3:4", rateLimited, 0, 0, "2001:db8::/64"},
		{"2001:db8:1:2::4", rateLimited, 0, 48, "2001:db8:1::/48"},
		{"2001:db8:1:2::4", rateLimited, 0, 128, "2001:db8:1:2::4"},
	} {
		policy, err := newAdmission(Policy{RateLimit: 1, RateLimitPrefix4: test.prefix4, RateLimitPrefix6: test.prefix6}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := policy.refusal(netip.MustParseAddr(test.source), test.reason)
		if got := sourceText(r.source); got != test.want || r.reason != test.reason {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// refusedBy returns the sketch of n refused datagrams of a source.
func refusedBy(source string, n uint32) *steer.Heavy[refusal] {
	h := new(steer.Heavy[refusal])
	addr := netip.MustParseAddr(source)
	h.Add(steer.Address(0, addr), refusal{netip.PrefixFrom(addr, addr.BitLen()), notAllowed}, n)
	return h
}

// The list has the sources of the last hours first, rates of the last seconds, and totals of all times.
func TestRefusedSendersInTime(t *testing.T) {
	var table refusedTable
	now := time.Unix(1_000_000, 0)
	second := func(source string, n uint32) {
		now = now.Add(time.Second)
		table.decay(now)
		if n > 0 {
			table.add(refusedBy(source, n), now)
		}
	}
	for range 60 {
		second("192.0.2.1", 1000)
	}
	yesterday := now.UTC()
	if list := table.top(); len(list) != 1 || list[0].NotAllowed != 60_000 || list[0].PerSecond < 990 || list[0].PerSecond > 1060 || list[0].LastAt != yesterday {
		t.Errorf("after a minute: %+v", list)
	}
	for range 24 * 3600 {
		second("", 0)
	}
	second("192.0.2.2", 10)
	want := []metrics.RefusedSender{
		{Source: "192.0.2.2", NotAllowed: 10, PerSecond: 1, LastAt: now.UTC()},
		{Source: "192.0.2.1", NotAllowed: 60_000, PerSecond: 0, LastAt: yesterday},
	}
	if list := table.top(); fmt.Sprint(list) != fmt.Sprint(want) {
		t.Errorf("a day later: %+v, want %+v", list, want)
	}
}

// A source keeps its place beside any number of lighter sources, and heavier sources take the place.
func TestRefusedTableKeepsHeavySources(t *testing.T) {
	var table refusedTable
	now := time.Unix(1_000_000, 0)
	table.decay(now)
	table.add(refusedBy("192.0.2.1", 5), now)
	addr := netip.MustParseAddr("10.0.0.0")
	others := func(n uint32) {
		for range 10_000 {
			addr = addr.Next()
			table.add(refusedBy(addr.String(), n), now)
		}
	}
	others(4)
	if list := table.top(); len(list) != refusedSenders || list[0].Source != "192.0.2.1" || list[0].NotAllowed != 5 {
		t.Errorf("beside lighter sources: %+v", list)
	}
	others(6)
	others(5)
	for _, set := range table.sets {
		for _, s := range set {
			if s.notAllowed != 6 {
				t.Errorf("after heavier and lighter sources: %+v", s)
			}
		}
	}
}
