package steer

import (
	"encoding/binary"
	"net/netip"
)

// The multipliers and shifts of MurmurHash3's 32-bit finalizer (Appleby, public domain): every bit
// of a word reaches every bit of the result. Classic BPF has 32-bit multiplication and no
// rotation. mix folds the upper half in before the multiplication too: without this fold, some
// changes of two words cancel each other for every seed.
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

func finalize(h uint32) uint32 {
	h *= mixMul2
	return h ^ h>>finalRsh
}

// Flow returns the hash of a sender's address and port, as programs compute it. The zone of an
// IPv6 address is ignored.
func Flow(seed uint32, source netip.AddrPort) uint32 {
	return finalize(mix(mixAddress(seed, source.Addr()), uint32(source.Port())))
}

// Address returns the hash of a sender's address, as programs compute it.
func Address(seed uint32, source netip.Addr) uint32 { return finalize(mixAddress(seed, source)) }

func mixAddress(h uint32, a netip.Addr) uint32 {
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
