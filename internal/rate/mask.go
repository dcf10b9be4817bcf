package rate

import (
	"encoding/binary"
	"net/netip"
)

// Networks maps addresses to networks, by prefix lengths. Networks do not change: any thread may
// use them.
type Networks struct{ mask4, mask6 mask }

// mask is a mask of the 128 bits of an address, in the order of the address's bytes.
type mask struct{ first, last uint64 }

// newMask returns the mask of the first bits.
func newMask(bits int) mask {
	var ones [16]byte
	binary.BigEndian.PutUint64(ones[:8], ^uint64(0)<<(64-min(bits, 64)))
	binary.BigEndian.PutUint64(ones[8:], ^uint64(0)<<(128-max(bits, 64)))
	return mask{binary.NativeEndian.Uint64(ones[:8]), binary.NativeEndian.Uint64(ones[8:])}
}

// NewNetworks returns Networks with the prefix lengths prefix4, 0 to 32, for IPv4 addresses, and
// prefix6, 0 to 128, for IPv6 addresses.
func NewNetworks(prefix4, prefix6 int) Networks {
	return Networks{newMask(96 + prefix4), newMask(prefix6)} // an IPv4 address is the end of an IPv4-mapped address
}

// Mask changes addr, which is source.As16(), into the network of source. An IPv4-mapped address
// counts as the IPv4 address. IPv6 zones are ignored. (A function that returns the network takes 4
// ns longer.)
func (n *Networks) Mask(source netip.Addr, addr *[16]byte) {
	if m := n.mask(source); *m != fullMask {
		m.apply(addr)
	}
}

// fullMask leaves an address unchanged.
var fullMask = newMask(128)

func (n *Networks) mask(source netip.Addr) *mask {
	if source.Is4() || source.Is4In6() {
		return &n.mask4
	}
	return &n.mask6
}

func (m *mask) apply(addr *[16]byte) {
	first, last := binary.NativeEndian.Uint64(addr[:8]), binary.NativeEndian.Uint64(addr[8:])
	binary.NativeEndian.PutUint64(addr[:8], first&m.first)
	binary.NativeEndian.PutUint64(addr[8:], last&m.last)
}
