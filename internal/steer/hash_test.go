package steer

import (
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
)

// sources are senders in the order of their addresses or ports.
type sources struct {
	name  string
	at    func(i uint32) netip.AddrPort
	ports bool // the sources differ by port only
}

func ip4(a uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], a)
	return netip.AddrFrom4(b)
}

func ip6(prefix, host uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], prefix)
	binary.BigEndian.PutUint64(b[8:], host)
	return netip.AddrFrom16(b)
}

const documentation = 0x2001_0db8 << 32 // 2001:db8::/64

var orders = []sources{
	{"addresses in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+i), 514) }, false},
	{"networks in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+i<<8+1), 514) }, false},
	{"ports in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+1), uint16(i)) }, true},
	{"even ports", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+i>>12), uint16(i*2)) }, true},
	{"16 addresses, ports in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+i%16), uint16(32768+i/16)) }, true},
	{"address and port alike", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip4(10<<24+i), uint16(i)) }, false},
	{"IPv6 hosts in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip6(documentation, uint64(i)), 514) }, false},
	{"IPv6 networks in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip6(documentation+uint64(i), 1), 514) }, false},
	{"IPv6 from MAC addresses", func(i uint32) netip.AddrPort {
		return netip.AddrPortFrom(ip6(0xfe80<<48, 0x0200_5eff_fe00_0000+uint64(i)), 514)
	}, false},
	{"IPv6 ports in order", func(i uint32) netip.AddrPort { return netip.AddrPortFrom(ip6(documentation, 1), uint16(i)) }, true},
}

// spread returns chi-square of the number of hashes on each shard. For random hashes the mean is
// shards-1, and the variance 2*(shards-1).
func spread(hash func(i uint32) uint32, n, shards uint32) float64 {
	counts := make([]float64, shards)
	for i := range n {
		counts[hash(i)%shards]++
	}
	fair, sum := float64(n)/float64(shards), 0.0
	for _, c := range counts {
		sum += (c - fair) * (c - fair) / fair
	}
	return sum
}

// Sources in order spread as well as random hashes.
func TestHashesSpread(t *testing.T) {
	const n = 32768
	for _, order := range orders {
		for _, seed := range []uint32{0, 1, 0xdeadbeef} {
			for _, shards := range []uint32{2, 3, 4, 5, 7, 8, 12, 16, 64, 100, 256} {
				bound := float64(shards-1) + 6*math.Sqrt(2*float64(shards-1)) + 6
				if got := spread(func(i uint32) uint32 { return Flow(seed, order.at(i)) }, n, shards); got > bound {
					t.Errorf("%s, seed %#x, %d shards: chi-square %.0f, more than %.0f", order.name, seed, shards, got, bound)
				}
				if order.ports {
					continue
				}
				if got := spread(func(i uint32) uint32 { return Address(seed, order.at(i).Addr()) }, n, shards); got > bound {
					t.Errorf("%s without ports, seed %#x, %d shards: chi-square %.0f, more than %.0f", order.name, seed, shards, got, bound)
				}
			}
		}
	}
}

// Two seeds spread flows independently: as many flows as by chance have the same shard.
func TestSeedsSpreadIndependently(t *testing.T) {
	const n, shards = 32768, 8
	for _, order := range orders {
		for _, seed := range []uint32{1, 0x8000_0000, 0xdeadbeef} {
			same := 0.0
			for i := range uint32(n) {
				if Flow(0, order.at(i))%shards == Flow(seed, order.at(i))%shards {
					same++
				}
			}
			mean, sigma := float64(n)/shards, math.Sqrt(float64(n)/shards*(1-1.0/shards))
			if math.Abs(same-mean) > 20*sigma { // flows that differ in one word are not independent
				t.Errorf("%s, seed %#x: %.0f of %d flows stay, by chance it were %.0f", order.name, seed, same, n, mean)
			}
		}
	}
}

func TestAddressesThatAreTheSame(t *testing.T) {
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"10.0.0.1", "::ffff:10.0.0.1", true}, // in a dual-stack socket
		{"fe80::1%eth0", "fe80::1", true},
		{"fe80::1%eth0", "fe80::1%lo", true},
		{"10.0.0.1", "10.0.0.2", false},
		{"10.0.0.1", "::10.0.0.1", false},
		{"::1", "::2", false},
		{"2001:db8::1:0", "2001:db8:0:1::", false},
		{"0.0.0.0", "::", false},
	} {
		a, b := netip.MustParseAddr(test.a), netip.MustParseAddr(test.b)
		if same := Address(7, a) == Address(7, b); same != test.same {
			t.Errorf("%s and %s have the same hash: %t", a, b, same)
		}
		if same := Flow(7, netip.AddrPortFrom(a, 514)) == Flow(7, netip.AddrPortFrom(b, 514)); same != test.same {
			t.Errorf("%s and %s, port 514, have the same hash: %t", a, b, same)
		}
	}
}

// Each bit of a source changes the hash.
func TestEveryBitCounts(t *testing.T) {
	four := netip.MustParseAddr("10.0.0.1").As4()
	sixteen := netip.MustParseAddr("2001:db8::1").As16()
	for _, a := range [][]byte{four[:], sixteen[:]} {
		hash := func(port uint16) uint32 {
			source, _ := netip.AddrFromSlice(a)
			return Flow(7, netip.AddrPortFrom(source, port))
		}
		was := hash(514)
		for bit := range 8 * len(a) {
			a[bit/8] ^= 1 << (bit % 8)
			if hash(514) == was {
				t.Errorf("bit %d of %d does not count", bit, 8*len(a))
			}
			a[bit/8] ^= 1 << (bit % 8)
		}
		for bit := range 16 {
			if hash(514^1<<bit) == was {
				t.Errorf("bit %d of the port does not count", bit)
			}
		}
	}
}
