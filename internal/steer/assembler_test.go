package steer

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

func TestJumps(t *testing.T) {
	var c assembler
	far, near := c.newLabel(), c.newLabel()
	if c.isTarget(far) {
		t.Error("a label is a target before the first jump")
	}
	c.add(bpf.LoadConstant{Dst: bpf.RegA, Val: 5})
	c.jumpIf(bpf.JumpEqual, 5, far)
	c.jump(near)
	c.setLabel(near)
	for range 300 { // more than a conditional jump reaches
		c.returnIf(5, 1)
	}
	c.setLabel(far)
	c.add(bpf.RetConstant{Val: 2})
	if !c.isTarget(far) || !c.isTarget(near) {
		t.Error("labels are no targets after jumps")
	}
	program, err := c.assemble()
	if err != nil {
		t.Fatal(err)
	}
	checkShape(t, program)
	if got, err := (machine{}).run(program, datagram{}); got != 2 || err != nil {
		t.Errorf("the program ends with %d, %v", got, err)
	}
}

func TestConditions(t *testing.T) {
	for _, test := range []struct {
		cond  bpf.JumpTest
		jumps []uint32 // the numbers of 4, 5 and 6 that jump
	}{
		{bpf.JumpEqual, []uint32{5}},
		{bpf.JumpNotEqual, []uint32{4, 6}},
		{bpf.JumpGreaterOrEqual, []uint32{5, 6}},
	} {
		var jumps []uint32
		for a := uint32(4); a <= 6; a++ {
			var c assembler
			to := c.newLabel()
			c.add(bpf.LoadConstant{Dst: bpf.RegA, Val: a})
			c.jumpIf(test.cond, 5, to)
			c.add(bpf.RetConstant{Val: 0})
			c.setLabel(to)
			c.add(bpf.RetConstant{Val: 1})
			program, err := c.assemble()
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := (machine{}).run(program, datagram{}); got == 1 {
				jumps = append(jumps, a)
			}
		}
		if !slices.Equal(jumps, test.jumps) {
			t.Errorf("condition %d jumps for %v, want %v", test.cond, jumps, test.jumps)
		}
	}
}

func TestWhatCannotBeAssembled(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(c *assembler)
		want  string // error; empty: none
	}{
		{"as long as can be", func(c *assembler) {
			for range 4096 {
				c.add(bpf.RetA{})
			}
		}, ""},
		{"longer", func(c *assembler) {
			for range 4097 {
				c.add(bpf.RetA{})
			}
		}, "the program has 4097 instructions, and the kernel accepts 4096"},
		{"no position", func(c *assembler) {
			c.jump(c.newLabel())
			c.add(bpf.RetA{})
		}, "instruction 0 jumps back, or to a label without a position"},
		{"back", func(c *assembler) {
			back := c.newLabel()
			c.setLabel(back)
			c.add(bpf.TAX{})
			c.jump(back)
		}, "instruction 1 jumps back, or to a label without a position"},
	} {
		var c assembler
		test.write(&c)
		program, err := c.assemble()
		switch {
		case test.want == "" && (err != nil || len(program) != 4096):
			t.Errorf("%s: %d instructions, %v", test.name, len(program), err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
