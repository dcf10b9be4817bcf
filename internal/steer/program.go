package steer

import (
	"maps"
	"slices"

	"golang.org/x/net/bpf"
)

// Program returns the plan as a program whose result is a shard's number, or nil for Hash. A load
// beyond the end of a datagram would end the program with 0, the number of a shard. The kernel has
// checked the headers before, so each load is within the datagram.
func (p Plan) Program() ([]bpf.RawInstruction, error) {
	if err := p.check(); err != nil || p.Mode == Hash {
		return nil, err
	}
	w := writer{Plan: p, usable: p.usable()}
	w.spray, w.fallback = w.newLabel(), w.newLabel()
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
	// The kernel refuses unreachable code that reads a scratch word, so both parts are written
	// only if the program jumps there.
	if w.isTarget(w.spray) {
		w.setLabel(w.spray)
		w.writeSpray()
	}
	if w.isTarget(w.fallback) {
		w.setLabel(w.fallback)
		w.writeFallback()
	}
	return w.assemble()
}

// writer writes a plan's program.
type writer struct {
	Plan
	assembler
	usable   []int // shards, ascending
	spray    label // of writeSpray
	fallback label // of writeFallback
}

// writeAuto returns a random shard for sprayed flows, the new shard of a moved bucket, and the home
// shard of any other bucket.
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

// writeMoved returns the shard of the bucket in A if the bucket is moved. Otherwise the program
// continues behind this code.
func (w *writer) writeMoved(buckets []int) {
	const few = 4
	if len(buckets) > few {
		middle := len(buckets) / 2
		upper, end := w.newLabel(), w.newLabel()
		w.jumpIf(bpf.JumpGreaterOrEqual, uint32(buckets[middle]), upper)
		w.writeMoved(buckets[:middle])
		w.jump(end)
		w.setLabel(upper)
		w.writeMoved(buckets[middle:])
		w.setLabel(end)
		return
	}
	for _, bucket := range buckets {
		if to := w.Moved[bucket]; slices.Contains(w.usable, to) {
			w.returnIf(uint32(bucket), to)
		} else {
			w.jumpIf(bpf.JumpEqual, uint32(bucket), w.fallback)
		}
	}
}

// writeHome returns the home shard of the hash in A.
func (w *writer) writeHome() {
	w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(w.Shards)})
	if len(w.usable) < w.Shards {
		for _, shard := range w.Avoid {
			w.jumpIf(bpf.JumpEqual, uint32(shard), w.fallback)
		}
	}
	w.add(bpf.RetA{})
}

// writeSpray returns a random usable shard.
func (w *writer) writeSpray() {
	w.add(bpf.LoadExtension{Num: bpf.ExtRand})
	w.writeOneOf(w.usable)
}

// writeFallback returns a usable shard by another part of the hash: flows of an avoided shard
// spread over the usable shards, and flows of usable shards stay.
func (w *writer) writeFallback() {
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot}, bpf.ALUOpConstant{Op: bpf.ALUOpDiv, Val: uint32(w.Shards)})
	w.writeOneOf(w.usable)
}

// writeCPU returns the shard that is pinned to the receiving CPU. Among several such shards, and
// among all shards where no shard has this CPU, the flow's hash chooses.
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
		run := consecutive(cpus, on)
		if run == 1 {
			w.returnIf(uint32(cpu), on[cpu][0])
			cpus = cpus[1:]
			continue
		}
		next := w.newLabel()
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
		w.setLabel(next)
	}
	w.add(bpf.LoadScratch{Dst: bpf.RegA, N: hashSlot})
	w.writeHome()
}

// consecutive returns how many CPUs from the first one on have consecutive numbers, one shard each,
// and consecutive shards.
func consecutive(cpus []int, on map[int][]int) (run int) {
	for i, cpu := range cpus {
		if len(on[cpu]) != 1 || cpu != cpus[0]+i || on[cpu][0] != on[cpus[0]][0]+i {
			break
		}
		run++
	}
	return run
}

// writeOneOf returns one of the given shards, in ascending order, by the number in A.
func (w *writer) writeOneOf(shards []int) {
	w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: uint32(len(shards))})
	if stride := strideOf(shards); stride > 1 {
		w.add(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: uint32(stride)}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(shards[0])}, bpf.RetA{})
		return
	}
	for i := len(shards) - 1; i >= 0; i-- { // by runs of consecutive shards
		distance := shards[i] - i
		if distance > 0 && (i == 0 || shards[i-1]-(i-1) != distance) {
			w.add(bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(i), SkipFalse: 2},
				bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: uint32(distance)}, bpf.RetA{})
		}
	}
	w.add(bpf.RetA{})
}

// strideOf returns the distance between neighboring numbers, or 0 if the distances differ.
func strideOf(numbers []int) (stride int) {
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
