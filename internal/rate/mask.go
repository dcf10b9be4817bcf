package rate

import (
	"encoding/binary"
	"net/netip"
)

// Networks says which addresses are one sender, by the lengths of their prefixes. It is made once;
// any thread may use it.
type Networks struct{ mask4, mask6 mask }

// mask has the bits of an address of 128 that count, in the order of the address's bytes.
type mask struct{ first, last uint64 }

// newMask masks all but the first bits of an address of 128.
func newMask(bits int) mask {
	var ones [16]byte
	binary.BigEndian.PutUint64(ones[:8], ^uint64(0)<<(64-min(bits, 64)))
	binary.BigEndian.PutUint64(ones[8:], ^uint64(0)<<(128-max(bits, 64)))
	return mask{binary.NativeEndian.Uint64(ones[:8]), binary.NativeEndian.Uint64(ones[8:])}
}

// NewNetworks returns Networks of addresses that have the first bits in common: prefix4, 0 to 32,
// of IPv4 addresses, and prefix6, 0 to 128, of IPv6 ones.
func NewNetworks(prefix4, prefix6 int) Networks {
	return Networks{newMask(96 + prefix4), newMask(prefix6)} // an IPv4 address is the end of a mapped one
}

// Of returns what all addresses of a network have in common. An IPv4-mapped address is the IPv4
// address. Zones do not count.
func (n *Networks) Network(source netip.Addr) [16]byte {
	addr := source.As16()
	n.Mask(source, &addr)
	return addr
}

// Mask makes what Of returns of addr, which is source.As16().
func (n *Networks) Mask(source netip.Addr, addr *[16]byte) {
	if m := n.mask(source); *m != fullMask {
		m.apply(addr)
	}
}

// fullMask is the mask that leaves an address as it is.
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
