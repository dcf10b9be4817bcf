package steer

import (
	"maps"
	"slices"

	"golang.org/x/net/bpf"
)

// Where things are in a datagram. The kernel runs a program with the UDP
// payload at offset 0; headers are reached from the network header
// (SKF_NET_OFF, linux/filter.h).
const (
	network    = 0xfff00000 // SKF_NET_OFF, as a 32-bit number
	ip4Source  = network + 12
	ip6Next    = network + 6
	ip6Source  = network + 8
	ip6Port    = network + 40
	protocolV6 = 0x86dd // ETH_P_IPV6
	nextUDP    = 17
)

// hashSlot is the scratch word that has the hash.
const hashSlot = 0

// Program returns the plan as a program whose result is a shard's number, or
// nil for Hash, which is the kernel's own way. A load beyond a datagram's end
// ends a program with 0, a shard that there is; the kernel has checked the
// headers by then, so none should be.
func (p Plan) Program() ([]bpf.RawInstruction, error) {
	if err := p.check(); err != nil || p.Mode == Hash {
		return nil, err
	}
	w := writer{Plan: p, usable: p.usable()}
	w.spray, w.elsewhere = w.label(), w.label()
	switch p.Mode {
	case CPU:
		w.writeCPU()
	case Source:
		w.writeHash(false)
		w.writeHome()
	case Spray:
		w.writeSpray()
	default:
		w.writeAuto()
	}
	// The kernel refuses a scratch word that is read where nothing has led to,
	// so these are there only if they are needed.
	if w.used(w.spray) {
		w.place(w.spray)
		w.writeSpray()
	}
	if w.used(w.elsewhere) {
		w.place(w.elsewhere)
		w.writeElsewhere()
	}
	return w.assemble()
}

// writer writes a plan's program.
type writer struct {
	Plan
	code
	usable           []int // shards, ascending
	spray, elsewhere label // where a datagram goes to any shard; where the hash chooses a usable one
}

// writeAuto sends the flows that are to be sprayed anywhere, those of moved
// buckets where they were moved to, and all others home.
func (w *writer) writeAuto() {
	w.writeHash(true)
	for _, hash := range w.Sprayed {
		w.jumpIf(bpf.JumpEqual, hash, w.spray)
	}
	if len(w.Moved) > 0 {
		w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(w.Buckets())})
		w.writeMoved(slices.Sorted(maps.Keys(w.Moved)))
		w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot})
	}
	w.writeHome()
}

// writeMoved searches for the bucket in A among the moved ones, and goes on
// behind itself where it is none of them.
func (w *writer) writeMoved(buckets []int) {
	const few = 4
	if len(buckets) > few {
		middle := len(buckets) / 2
		upper, end := w.label(), w.label()
		w.jumpIf(bpf.JumpGreaterOrEqual, uint32(buckets[middle]), upper)
		w.writeMoved(buckets[:middle])
		w.jump(end)
		w.place(upper)
		w.writeMoved(buckets[middle:])
		w.place(end)
		return
	}
	for _, b := range buckets {
		if to := w.Moved[b]; w.avoids(to) {
			w.jumpIf(bpf.JumpEqual, uint32(b), w.elsewhere)
		} else {
			w.returnIf(uint32(b), to)
		}
	}
}

func (w *writer) avoids(shard int) bool { return !slices.Contains(w.usable, shard) }

// writeHome ends with the shard that the hash in A is at home with.
func (w *writer) writeHome() {
	w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(w.Shards)})
	if len(w.usable) < w.Shards {
		for _, shard := range w.Avoid {
			w.jumpIf(bpf.JumpEqual, uint32(shard), w.elsewhere)
		}
	}
	w.add(bpf.RetA{})
}

// writeSpray ends with any shard that is usable.
func (w *writer) writeSpray() {
	w.add(bpf.LoadExtension{Num: bpf.ExtRand})
	w.writeOneOf(w.usable)
}

// writeElsewhere ends with a usable shard by the hash's other part: the flows
// of a shard that is avoided go to all others, and no others change places.
func (w *writer) writeElsewhere() {
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot}, bpf.ALUOpConstant{Op: bpf.ALUOpDiv, Val: uint32(w.Shards)})
	w.writeOneOf(w.usable)
}

// writeCPU ends with the shard that is pinned to the receiving CPU, one of
// them by the flow's hash if there are several, and any by that hash if there
// is none.
func (w *writer) writeCPU() {
	on := make(map[int][]int)
	for _, shard := range w.usable {
		on[w.CPUs[shard]] = append(on[w.CPUs[shard]], shard)
	}
	w.writeHash(true)
	w.add(bpf.LoadExtension{Num: bpf.ExtCPUID})
	cpus := slices.Sorted(maps.Keys(on))
	for len(cpus) > 0 {
		cpu := cpus[0]
		run := ownRun(cpus, on)
		if run == 1 {
			w.returnIf(uint32(cpu), on[cpu][0])
			cpus = cpus[1:]
			continue
		}
		next := w.label()
		if run > 1 {
			w.jumpIf(bpf.JumpLessThan, uint32(cpu), next)
			w.jumpIf(bpf.JumpGreaterThan, uint32(cpus[run-1]), next)
			w.add(bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(on[cpu][0] - cpu)}, bpf.RetA{})
			cpus = cpus[run:]
		} else {
			w.jumpIf(bpf.JumpNotEqual, uint32(cpu), next)
			w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot})
			w.writeOneOf(on[cpu])
			cpus = cpus[1:]
		}
		w.place(next)
	}
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot})
	w.writeHome()
}

// ownRun returns how many CPUs in a row, from the first one, have a shard of
// their own each, with numbers that follow each other as the CPUs' do.
func ownRun(cpus []int, on map[int][]int) (run int) {
	for i, cpu := range cpus {
		if len(on[cpu]) != 1 || cpu != cpus[0]+i || on[cpu][0] != on[cpus[0]][0]+i {
			break
		}
		run++
	}
	return run
}

// writeOneOf ends with one of some shards, which ascend, by what is in A.
func (w *writer) writeOneOf(shards []int) {
	w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(len(shards))})
	if stride := evenly(shards); stride > 1 {
		w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: uint32(stride)}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(shards[0])}, bpf.RetA{})
		return
	}
	for i := len(shards) - 1; i >= 0; i-- { // by runs of shards that follow each other
		distance := shards[i] - i
		if distance > 0 && (i == 0 || shards[i-1]-(i-1) != distance) {
			w.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(i), SkipFalse: 2},
				bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(distance)}, bpf.RetA{})
		}
	}
	w.add(bpf.RetA{})
}

// evenly returns how far numbers are apart, if that is the same for all, and
// else 0.
func evenly(numbers []int) (stride int) {
	for i := 1; i < len(numbers); i++ {
		switch apart := numbers[i] - numbers[i-1]; {
		case i == 1:
			stride = apart
		case apart != stride:
			return 0
		}
	}
	return stride
}

// writeHash leaves Flow, or without ports Address, in A and in its scratch
// word.
func (w *writer) writeHash(ports bool) {
	v6, final := w.label(), w.label()
	w.add(bpf.LoadConstant{Dst: bpf.RegA, Val: w.Seed}, bpf.StoreScratch{Src: bpf.RegA, N: hashSlot})
	w.add(bpf.LoadExtension{Num: bpf.ExtProto})
	w.jumpIf(bpf.JumpEqual, protocolV6, v6)

	w.writeMix(bpf.LoadAbsolute{Off: ip4Source, Size: 4})
	if ports { // behind the options, if there are any
		w.add(bpf.LoadMemShift{Off: network})
		w.writeMix(bpf.LoadIndirect{Off: network, Size: 2})
	}
	w.jump(final)

	w.place(v6)
	for i := range uint32(4) {
		w.writeMix(bpf.LoadAbsolute{Off: ip6Source + 4*i, Size: 4})
	}
	if ports { // where extension headers come first, the address has to do
		plain, mixed := w.label(), w.label()
		w.add(bpf.LoadAbsolute{Off: ip6Next, Size: 1})
		w.jumpIf(bpf.JumpEqual, nextUDP, plain)
		w.writeMix(bpf.LoadConstant{Dst: bpf.RegA})
		w.jump(mixed)
		w.place(plain)
		w.writeMix(bpf.LoadAbsolute{Off: ip6Port, Size: 2})
		w.place(mixed)
	}

	w.place(final)
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot}, bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: mixMul2})
	w.writeFold(finalRsh)
	w.add(bpf.StoreScratch{Src: bpf.RegA, N: hashSlot})
}

// writeMix does what mix does, with the hash in its scratch word.
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
