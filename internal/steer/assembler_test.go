package steer

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

func TestJumpsFindTheirPlaces(t *testing.T) {
	var c code
	far, near := c.label(), c.label()
	if c.used(far) {
		t.Error("a label is used before anything jumps there")
	}
	c.add(bpf.LoadConstant{Dst: bpf.RegA, Val: 5})
	c.jumpIf(bpf.JumpEqual, 5, far)
	c.jump(near)
	c.place(near)
	for range 300 { // more than a conditional jump reaches
		c.returnIf(5, 1)
	}
	c.place(far)
	c.add(bpf.RetConstant{Val: 2})
	if !c.used(far) || !c.used(near) {
		t.Error("labels are not used")
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
		jumps []uint32 // of 4, 5 and 6, compared with 5
	}{
		{bpf.JumpEqual, []uint32{5}},
		{bpf.JumpNotEqual, []uint32{4, 6}},
		{bpf.JumpGreaterOrEqual, []uint32{5, 6}},
	} {
		var jumps []uint32
		for a := uint32(4); a <= 6; a++ {
			var c code
			to := c.label()
			c.add(bpf.LoadConstant{Dst: bpf.RegA, Val: a})
			c.jumpIf(test.cond, 5, to)
			c.add(bpf.RetConstant{Val: 0})
			c.place(to)
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
		write func(c *code)
		want  string // empty: it can
	}{
		{"as long as can be", func(c *code) {
			for range 4096 {
				c.add(bpf.RetA{})
			}
		}, ""},
		{"longer", func(c *code) {
			for range 4097 {
				c.add(bpf.RetA{})
			}
		}, "a program of 4097 instructions, of which the kernel takes 4096"},
		{"no place", func(c *code) {
			c.jump(c.label())
			c.add(bpf.RetA{})
		}, "instruction 0 jumps back, or to no place"},
		{"back", func(c *code) {
			back := c.label()
			c.place(back)
			c.add(bpf.TAX{})
			c.jump(back)
		}, "instruction 1 jumps back, or to no place"},
	} {
		var c code
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
