package steer

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// label is a place in a program that instructions before it jump to.
type label int

// code is a program that is being written. Classic BPF's conditional jumps
// reach 255 instructions, so a jump to a label is a condition that skips an
// unconditional one.
type code struct {
	out    []bpf.Instruction
	places []int         // of labels
	jumps  map[int]label // instructions whose distance is not known yet
}

func (c *code) add(in ...bpf.Instruction) { c.out = append(c.out, in...) }

func (c *code) label() label {
	c.places = append(c.places, -1)
	return label(len(c.places) - 1)
}

// used says whether anything jumps to a label so far.
func (c *code) used(l label) bool {
	for _, to := range c.jumps {
		if to == l {
			return true
		}
	}
	return false
}

// place puts a label where the next instruction goes.
func (c *code) place(l label) { c.places[l] = len(c.out) }

func (c *code) jump(to label) {
	if c.jumps == nil {
		c.jumps = make(map[int]label)
	}
	c.jumps[len(c.out)] = to
	c.add(bpf.Jump{})
}

// jumpIf compares A with a constant.
func (c *code) jumpIf(test bpf.JumpTest, value uint32, to label) {
	c.add(bpf.JumpIf{Cond: test, Val: value, SkipFalse: 1})
	c.jump(to)
}

// returnIf ends with a shard where A equals a constant.
func (c *code) returnIf(value uint32, shard int) {
	c.add(bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: 1}, bpf.RetConstant{Val: uint32(shard)})
}

// mostInstructions is BPF_MAXINSNS (linux/bpf_common.h).
const mostInstructions = 4096

func (c *code) assemble() ([]bpf.RawInstruction, error) {
	if len(c.out) > mostInstructions {
		return nil, fmt.Errorf("a program of %d instructions, of which the kernel takes %d", len(c.out), mostInstructions)
	}
	for at, to := range c.jumps {
		skip := c.places[to] - at - 1
		if skip < 0 {
			return nil, fmt.Errorf("instruction %d jumps back, or to no place", at)
		}
		c.out[at] = bpf.Jump{Skip: uint32(skip)}
	}
	return bpf.Assemble(c.out)
}
