package steer

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// label is a jump target. setLabel gives its position.
type label int

// assembler writes a program with labels. A conditional jump of classic BPF reaches 255
// instructions, so a jump to a label is a condition that skips an unconditional jump.
type assembler struct {
	out       []bpf.Instruction
	positions []int         // of labels, -1 before setLabel
	jumps     map[int]label // by the position of the jump
}

func (a *assembler) add(in ...bpf.Instruction) { a.out = append(a.out, in...) }

func (a *assembler) newLabel() label {
	a.positions = append(a.positions, -1)
	return label(len(a.positions) - 1)
}

// isTarget reports whether the program so far jumps to a label.
func (a *assembler) isTarget(l label) bool {
	for _, to := range a.jumps {
		if to == l {
			return true
		}
	}
	return false
}

// setLabel makes the next instruction the target of a label.
func (a *assembler) setLabel(l label) { a.positions[l] = len(a.out) }

func (a *assembler) jump(to label) {
	if a.jumps == nil {
		a.jumps = make(map[int]label)
	}
	a.jumps[len(a.out)] = to
	a.add(bpf.Jump{})
}

// jumpIf jumps if register A passes a test.
func (a *assembler) jumpIf(test bpf.JumpTest, value uint32, to label) {
	a.add(bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1})
	a.jump(to)
}

// returnIf returns a shard if register A equals value.
func (a *assembler) returnIf(value uint32, shard int) {
	a.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: 1}, bpf.RetConstant{Val: uint32(shard)})
}

// maxInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const maxInstructions = 4096

func (a *assembler) assemble() ([]bpf.RawInstruction, error) {
	if len(a.out) > maxInstructions {
		return nil, fmt.Errorf("the program has %d instructions, and the kernel accepts %d", len(a.out), maxInstructions)
	}
	for at, to := range a.jumps {
		skip := a.positions[to] - at - 1
		if skip < 0 {
			return nil, fmt.Errorf("instruction %d jumps back, or to a label without a position", at)
		}
		a.out[at] = bpf.Jump{Skip: uint32(skip)}
	}
	return bpf.Assemble(a.out)
}
