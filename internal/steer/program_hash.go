package steer

import "golang.org/x/net/bpf"

// Offsets in a datagram. The kernel runs a program with the UDP payload at offset 0. Headers have
// offsets from the network header (SKF_NET_OFF, linux/filter.h).
const (
	network    = 0xfff00000 // SKF_NET_OFF, as a 32-bit number
	ip4Source  = network + 12
	ip6Next    = network + 6
	ip6Source  = network + 8
	ip6Port    = network + 40
	protocolV6 = 0x86dd // ETH_P_IPV6
	nextUDP    = 17
)

// hashSlot is the scratch word of the hash.
const hashSlot = 0

// writeHash computes Flow, or without ports Address, into A and the scratch word.
func (w *writer) writeHash(ports bool) {
	v6, final := w.newLabel(), w.newLabel()
	w.add(bpf.LoadConstant{Dst: bpf.RegA, Val: w.Seed}, bpf.StoreScratch{Src: bpf.RegA, N: hashSlot})
	w.add(bpf.LoadExtension{Num: bpf.ExtProto})
	w.jumpIf(bpf.JumpEqual, protocolV6, v6)

	w.writeMix(bpf.LoadAbsolute{Off: ip4Source, Size: 4})
	if ports { // behind IPv4 options
		w.add(bpf.LoadMemShift{Off: network})
		w.writeMix(bpf.LoadIndirect{Off: network, Size: 2})
	}
	w.jump(final)

	w.setLabel(v6)
	for i := range uint32(4) {
		w.writeMix(bpf.LoadAbsolute{Off: ip6Source + 4*i, Size: 4})
	}
	if ports { // with extension headers the hash is of the address alone
		plain, mixed := w.newLabel(), w.newLabel()
		w.add(bpf.LoadAbsolute{Off: ip6Next, Size: 1})
		w.jumpIf(bpf.JumpEqual, nextUDP, plain)
		w.writeMix(bpf.LoadConstant{Dst: bpf.RegA})
		w.jump(mixed)
		w.setLabel(plain)
		w.writeMix(bpf.LoadAbsolute{Off: ip6Port, Size: 2})
		w.setLabel(mixed)
	}

	w.setLabel(final)
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot}, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixMul2})
	w.writeFold(finalRsh)
	w.add(bpf.StoreScratch{Src: bpf.RegA, N: hashSlot})
}

// writeMix is mix, with the hash in the scratch word.
func (w *writer) writeMix(load bpf.Instruction) {
	w.add(load, bpf.LoadScratch{Dst: bpf.RegX, N: hashSlot}, bpf.ALUOpX{Op: bpf.ALUOpXor})
	w.writeFold(mixRsh)
	w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixMul1})
	w.writeFold(mixRsh)
	w.add(bpf.StoreScratch{Src: bpf.RegA, N: hashSlot})
}

// writeFold is A ^= A >> shift.
func (w *writer) writeFold(shift uint32) {
	w.add(bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: shift}, bpf.ALUOpX{Op: bpf.ALUOpXor})
}
