package steer

import (
	"encoding/binary"
	"net/netip"
)

// The multipliers and shifts are those of MurmurHash3's 32-bit finalizer
// (Appleby, public domain): every bit of a word reaches every bit of the
// result. Classic BPF has 32-bit multiplication and no rotation. The upper
// half is folded in before the multiplication too: without that, some changes
// of two words cancel each other whatever the seed is.
const (
	mixMul1  = 0x85ebca6b
	mixMul2  = 0xc2b2ae35
	mixRsh   = 16
	finalRsh = 13
)

func mix(h, word uint32) uint32 {
	h ^= word
	h = (h ^ h>>mixRsh) * mixMul1
	return h ^ h>>mixRsh
}

func finish(h uint32) uint32 {
	h *= mixMul2
	return h ^ h>>finalRsh
}

// Flow returns the hash of a sender's address and port, as programs compute
// it. Zones of IPv6 addresses do not count.
func Flow(seed uint32, source netip.AddrPort) uint32 {
	return finish(mix(words(seed, source.Addr()), uint32(source.Port())))
}

// Address returns the hash of a sender's address, as programs compute it.
func Address(seed uint32, source netip.Addr) uint32 { return finish(words(seed, source)) }

func words(h uint32, a netip.Addr) uint32 {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return mix(h, binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	for i := 0; i < len(b); i += 4 {
		h = mix(h, binary.BigEndian.Uint32(b[i:]))
	}
	return h
}
