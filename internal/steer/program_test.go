package steer

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

// moving moves a plan's first n buckets to the shard after the home.
func moving(p Plan, n int) map[int]int {
	moved := make(map[int]int)
	for b := range n {
		moved[b] = (p.Home(b) + 1) % p.Shards
	}
	return moved
}

// hashes returns n large hashes.
func hashes(n int) []uint32 {
	var hashes []uint32
	for i := range uint32(n) {
		hashes = append(hashes, Address(1, ip4(i)))
	}
	return hashes
}

// upTo returns the numbers from 0 to n-1.
func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	return numbers
}

// largest is the largest plan of Auto without avoided shards.
func largest(shards int) Plan {
	p := Plan{Mode: Auto, Shards: shards, Seed: 0xdeadbeef, Sprayed: hashes(maxSprayed)}
	p.Moved = moving(p, maxMoved)
	return p
}

// The length of programs is bounded. The kernel needs a nanosecond or less for an instruction, and
// searches the table of moved buckets in logarithmic time.
func TestProgramsAreShort(t *testing.T) {
	with := func(p Plan, change func(*Plan)) Plan { change(&p); return p }
	for _, test := range []struct {
		name string
		plan Plan
		most int
	}{
		{"auto, 1 shard", Plan{Mode: Auto, Shards: 1}, 107},
		{"auto, 2 shards", Plan{Mode: Auto, Shards: 2}, 107},
		{"auto, 4 shards", Plan{Mode: Auto, Shards: 4}, 107},
		{"auto, 64 shards", Plan{Mode: Auto, Shards: 64}, 107},
		{"auto, 4096 shards", Plan{Mode: Auto, Shards: 4096}, 107},
		{"source, 64 shards", Plan{Mode: Source, Shards: 64}, 86},
		{"spray, 64 shards", Plan{Mode: Spray, Shards: 64}, 3},
		{"cpu, 64 shards", Plan{Mode: CPU, Shards: 64, CPUs: upTo(64)}, 116},
		{"cpu, 64 shards on one", Plan{Mode: CPU, Shards: 64, CPUs: make([]int, 64)}, 114},
		{"cpu, 1024 shards", Plan{Mode: CPU, Shards: 1024, CPUs: upTo(1024)}, 116},
		{"one of 64 avoided", Plan{Mode: Auto, Shards: 64, Avoid: []int{9}}, 107 + 2 + 7},
		{"every other of 64 avoided", Plan{Mode: Auto, Shards: 64, Avoid: odd(64)}, 107 + 2*32 + 4 + 4},
		{"all avoided", Plan{Mode: Auto, Shards: 64, Avoid: upTo(64)}, 107},
		{"spray, one of 4096 avoided", Plan{Mode: Spray, Shards: 4096, Avoid: []int{9}}, 6},
		{"32 sprayed", Plan{Mode: Auto, Shards: 64, Sprayed: hashes(32)}, 107 + 2*32 + 3},
		{"64 moved", with(Plan{Mode: Auto, Shards: 4}, func(p *Plan) { p.Moved = moving(*p, 64) }), 107 + 2 + 2*64 + 3*16},
		{"512 moved, 32 sprayed", largest(128), 1585},
		{"512 moved, 32 sprayed, 32 avoided", with(largest(128), func(p *Plan) { p.Avoid = upTo(32) }), 1660},
	} {
		program, err := test.plan.Program()
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if len(program) > test.most {
			t.Errorf("%s: %d instructions, more than %d", test.name, len(program), test.most)
		}
		checkShape(t, program)
	}
}

func odd(n int) []int {
	var odd []int
	for i := 1; i < n; i += 2 {
		odd = append(odd, i)
	}
	return odd
}

func backwards(n int) []int {
	numbers := upTo(n)
	slices.Reverse(numbers)
	return numbers
}

func twoOfFive(n int) []int {
	return slices.DeleteFunc(upTo(n), func(i int) bool { return i%5 != 1 && i%5 != 3 })
}

// checkShape makes the kernel's checks of a program (bpf_check_classic), and finds paths without a
// return.
func checkShape(t *testing.T, program []bpf.RawInstruction) {
	t.Helper()
	instructions, all := bpf.Disassemble(program)
	if !all {
		t.Fatal("the program has instructions that are none")
	}
	if len(program) == 0 || len(program) > 4096 {
		t.Fatalf("%d instructions", len(program))
	}
	const unreached = ^uint32(0)
	stored := make([]uint32, len(program)+1) // scratch words with a value on each path
	for i := range stored {
		stored[i] = unreached
	}
	stored[0] = 0
	for at, in := range instructions {
		here := stored[at]
		if here == unreached {
			continue
		}
		var next []int
		switch in := in.(type) {
		case bpf.RetA, bpf.RetConstant:
			continue
		case bpf.Jump:
			next = []int{int(in.Skip)}
		case bpf.JumpIf:
			next = []int{int(in.SkipTrue), int(in.SkipFalse)}
		case bpf.LoadScratch:
			if here>>in.N&1 == 0 {
				t.Fatalf("instruction %d reads what was not stored", at)
			}
			next = []int{0}
		case bpf.StoreScratch:
			here |= 1 << in.N
			next = []int{0}
		case bpf.ALUOpConstant:
			if in.Val == 0 && (in.Op == bpf.ALUOpDiv || in.Op == bpf.ALUOpMod) {
				t.Fatalf("instruction %d divides by 0", at)
			}
			next = []int{0}
		default:
			next = []int{0}
		}
		for _, skip := range next {
			to := at + 1 + skip
			if skip < 0 || to >= len(program) {
				t.Fatalf("instruction %d of %d, %v, leads out of the program", at, len(program), in)
			}
			stored[to] &= here
		}
	}
	switch instructions[len(instructions)-1].(type) {
	case bpf.RetA, bpf.RetConstant:
	default:
		t.Fatalf("the last instruction is %v", instructions[len(instructions)-1])
	}
}

func TestHashHasNoProgram(t *testing.T) {
	p := Plan{Mode: Hash, Shards: 4, Avoid: []int{1}, Moved: map[int]int{0: 1}, Sprayed: []uint32{1}}
	if program, err := p.Program(); program != nil || err != nil {
		t.Errorf("%v, %v", program, err)
	}
}

func TestProgramsThatAreTooLong(t *testing.T) {
	for name, p := range map[string]Plan{
		"cpu, 4096 shards":            {Mode: CPU, Shards: 4096, CPUs: backwards(4096)},
		"every other of 4096 avoided": {Mode: Auto, Shards: 4096, Avoid: odd(4096)},
		"almost all of 4096 avoided":  {Mode: Source, Shards: 4096, Avoid: upTo(4095)},
		"spray, two of five of 4096":  {Mode: Spray, Shards: 4096, Avoid: twoOfFive(4096)},
	} {
		program, err := p.Program()
		if program != nil || err == nil || !strings.HasPrefix(err.Error(), "the program has ") || !strings.HasSuffix(err.Error(), " instructions, and the kernel accepts 4096") {
			t.Errorf("%s: %d instructions, %v", name, len(program), err)
		}
	}
}

// A plan has one program, for any order of its maps.
func TestProgramsAreDeterministic(t *testing.T) {
	p := largest(128)
	first, err := p.Program()
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if again, _ := p.Program(); !slices.Equal(again, first) {
			t.Fatal("the program differs")
		}
	}
}

// result runs the program of a plan.
func result(t *testing.T, p Plan, m machine, d datagram) int {
	t.Helper()
	program, err := p.Program()
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.run(program, d)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	return int(got)
}

// wanted computes the shard of a datagram from the documentation of Plan alone.
func wanted(p Plan, m machine, d datagram) int {
	var usable []int
	for i := range p.Shards {
		if !slices.Contains(p.Avoid, i) {
			usable = append(usable, i)
		}
	}
	if len(usable) == 0 {
		usable = upTo(p.Shards)
	}
	hashed := p
	if p.Mode == CPU {
		var there []int
		for _, shard := range usable {
			if p.CPUs[shard] == int(m.cpu) {
				there = append(there, shard)
			}
		}
		if len(there) > 0 {
			return there[int(Flow(p.Seed, d.source))%len(there)]
		}
		hashed = Plan{Mode: Auto, Shards: p.Shards, Seed: p.Seed, Avoid: p.Avoid}
	}
	if shard, one := hashed.Shard(d.source); one {
		return shard
	}
	return usable[int(m.random)%len(usable)]
}

// Program and plan agree for datagrams of all kinds.
func TestProgramsDoAsTheirPlan(t *testing.T) {
	four, six := netip.MustParseAddrPort("10.1.2.3:40000"), netip.MustParseAddrPort("[2001:db8::7]:40000")
	datagrams := map[string]datagram{
		"IPv4":                     datagram4(four, 0),
		"IPv4 with options":        datagram4(four, 4),
		"IPv4 with all options":    datagram4(four, 40),
		"IPv6":                     datagram6(six),
		"IPv6 with an extension":   datagram6(six, 1),
		"IPv6 with two extensions": datagram6(six, 1, 5),
		"IPv4, a high port":        datagram4(netip.AddrPortFrom(four.Addr(), 65535), 0),
		"IPv4, all ones":           datagram4(netip.MustParseAddrPort("255.255.255.255:65535"), 0),
		"IPv6, all ones":           datagram6(netip.MustParseAddrPort("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
	}
	for name, d := range datagrams {
		for seed := range uint32(20) {
			seed *= 0x9e3779b9
			for _, shards := range []int{1, 2, 3, 64, 4096} {
				m := machine{random: seed ^ 0xffff_0001, cpu: 3}
				one := Plan{Mode: Auto, Shards: shards, Seed: seed}
				at, _ := one.Shard(d.source)
				hash := Flow(seed, d.source)
				for _, p := range []Plan{
					one,
					{Mode: Auto, Shards: shards, Seed: seed, Avoid: []int{at}},
					{Mode: Auto, Shards: shards, Seed: seed, Avoid: []int{0, shards - 1, at}},
					{Mode: Auto, Shards: shards, Seed: seed, Moved: map[int]int{one.Bucket(hash): shards - 1}},
					{Mode: Auto, Shards: shards, Seed: seed, Moved: map[int]int{one.Bucket(hash): shards - 1}, Avoid: []int{shards - 1}},
					{Mode: Auto, Shards: shards, Seed: seed, Moved: moving(one, 256)},
					{Mode: Auto, Shards: shards, Seed: seed, Sprayed: []uint32{1, hash}},
					{Mode: Auto, Shards: shards, Seed: seed, Sprayed: []uint32{1, hash}, Avoid: []int{0}},
					{Mode: Source, Shards: shards, Seed: seed},
					{Mode: Source, Shards: shards, Seed: seed, Avoid: []int{0, shards / 2}},
					{Mode: Spray, Shards: shards, Seed: seed},
					{Mode: Spray, Shards: shards, Seed: seed, Avoid: []int{1}},
				} {
					if got, want := result(t, p, m, d), wanted(p, m, d); got != want {
						t.Errorf("%s, %s, seed %#x, %d shards, avoiding %v, moved %d, sprayed %d: shard %d, want %d",
							name, p.Mode, seed, shards, p.Avoid, len(p.Moved), len(p.Sprayed), got, want)
					}
				}
			}
		}
	}
}

func TestShardOfACPU(t *testing.T) {
	d := datagram4(netip.MustParseAddrPort("10.1.2.3:40000"), 0)
	for _, test := range []struct {
		cpus, avoid []int
		cpu         uint32
		want        []int // the flow's hash chooses
	}{
		{[]int{4, 5, 6}, nil, 5, []int{1}},
		{[]int{6, 5, 4}, nil, 6, []int{0}},
		{[]int{4, 5, 6, 4}, nil, 4, []int{0, 3}},
		{[]int{4, 5, 6, 4}, []int{0}, 4, []int{3}},
		{[]int{4, 5, 6, 4}, []int{0, 3}, 4, []int{1, 2}},
		{[]int{4, 5, 6, 4}, []int{0, 1, 2, 3}, 5, []int{1}},
		{[]int{4, 5, 6}, nil, 0, []int{0, 1, 2}},
		{[]int{0, 0, 0}, nil, 0, []int{0, 1, 2}},
		{[]int{-1, -1, -1}, nil, 0, []int{0, 1, 2}},
	} {
		reached := make(map[int]bool)
		for seed := range uint32(64) {
			p := Plan{Mode: CPU, Shards: len(test.cpus), CPUs: test.cpus, Avoid: test.avoid, Seed: seed}
			m := machine{cpu: test.cpu}
			got := result(t, p, m, d)
			if !slices.Contains(test.want, got) || got != wanted(p, m, d) {
				t.Errorf("CPU %d, shards pinned to %v, avoiding %v: shard %d, want one of %v", test.cpu, test.cpus, test.avoid, got, test.want)
			}
			reached[got] = true
		}
		if len(reached) != len(test.want) {
			t.Errorf("CPU %d, shards pinned to %v, avoiding %v: only shards %v, want %v", test.cpu, test.cpus, test.avoid, reached, test.want)
		}
	}
}

// A datagram with a truncated header does not reach a socket. The shard would be 0, or the shard of
// the complete header if the truncated part is not needed.
func TestHeadersThatEndEarly(t *testing.T) {
	for _, d := range []datagram{
		datagram4(netip.MustParseAddrPort("10.1.2.3:40000"), 8),
		datagram6(netip.MustParseAddrPort("[2001:db8::7]:40000")),
	} {
		p := Plan{Mode: Auto, Shards: 64, Seed: 7}
		whole := wanted(p, machine{}, d)
		if whole == 0 {
			t.Fatal("the seed is ill chosen: all is shard 0")
		}
		ports := d.payload - udpHeader
		for end := range len(d.bytes) {
			cut := d
			cut.bytes = d.bytes[:end]
			want := whole
			if end < ports+2 {
				want = 0
			}
			if got := result(t, p, machine{}, cut); got != want {
				t.Errorf("%#x cut at %d of %d bytes: shard %d, want %d", d.ether, end, len(d.bytes), got, want)
			}
		}
	}
}

// FuzzProgram makes a plan and a datagram from its input. The program agrees with the plan, and its
// result is a shard of the group that is not avoided.
func FuzzProgram(f *testing.F) {
	address := netip.MustParseAddr("2001:db8::7").As16()
	f.Add(byte(0), uint16(3), uint32(7), []byte(nil), []byte(nil), []byte(nil), address[:4], uint16(514), byte(0), uint32(9), uint16(1))
	f.Add(byte(0), uint16(3), uint32(7), []byte{0, 1, 0, 2}, []byte{0, 9, 0, 1, 0, 200, 0, 3}, []byte{1, 2, 3, 4}, address[:], uint16(514), byte(0x80), uint32(9), uint16(1))
	f.Add(byte(0), uint16(0), uint32(0), []byte{0, 0}, []byte{0, 0, 0, 0}, []byte(nil), address[:4], uint16(0), byte(10), uint32(0), uint16(0))
	f.Add(byte(0), uint16(4095), uint32(1<<31), []byte{15, 255, 0, 0}, slices.Repeat([]byte{0, 77, 0, 1, 9, 9, 8, 8}, 100), []byte(nil), address[:], uint16(65535), byte(3), uint32(1<<32-1), uint16(65535))
	f.Add(byte(2), uint16(7), uint32(7), []byte{0, 1}, []byte(nil), []byte{0, 1, 2, 3, 0, 1}, address[:4], uint16(514), byte(0x81), uint32(9), uint16(1))
	f.Add(byte(3), uint16(7), uint32(7), []byte{0, 1}, []byte(nil), []byte(nil), address[:], uint16(514), byte(2), uint32(9), uint16(1))
	f.Add(byte(4), uint16(7), uint32(7), []byte{0, 1, 0, 3, 0, 5}, []byte(nil), []byte(nil), address[:4], uint16(514), byte(0), uint32(1<<32-1), uint16(1))
	f.Fuzz(func(t *testing.T, mode byte, shards uint16, seed uint32, avoid, moved, more, from []byte, port uint16, headers byte, random uint32, cpu uint16) {
		p := Plan{Mode: Modes[int(mode)%len(Modes)], Shards: 1 + int(shards)%4096, Seed: seed, Moved: make(map[int]int)}
		for ; len(avoid) >= 2; avoid = avoid[2:] { // sometimes out of range
			p.Avoid = append(p.Avoid, int(binary.BigEndian.Uint16(avoid))%(p.Shards+1))
		}
		for ; len(moved) >= 4 && len(p.Moved) < maxMoved; moved = moved[4:] {
			p.Moved[int(binary.BigEndian.Uint16(moved))%p.Buckets()] = int(binary.BigEndian.Uint16(moved[2:])) % p.Shards
		}
		if p.Mode == CPU {
			for i := range p.Shards {
				p.CPUs = append(p.CPUs, i)
				if len(more) > 0 {
					p.CPUs[i] = int(more[i%len(more)])
				}
			}
			cpu %= 256
		}
		for ; len(more) >= 4 && len(p.Sprayed) < maxSprayed-1; more = more[4:] {
			p.Sprayed = append(p.Sprayed, binary.BigEndian.Uint32(more))
		}
		d := fuzzed(from, port, headers)
		if headers&0x80 != 0 {
			p.Sprayed = append(p.Sprayed, Flow(seed, d.source))
		}

		program, err := p.Program()
		if p.Mode == Hash {
			if program != nil || err != nil {
				t.Fatalf("%v, %v", program, err)
			}
			return
		}
		if err != nil {
			if !strings.Contains(err.Error(), "instructions, and the kernel accepts 4096") || len(p.Avoid)+len(p.CPUs) < 500 {
				t.Fatal(err)
			}
			return
		}
		checkShape(t, program)
		m := machine{random: random, cpu: uint32(cpu)}
		result, err := m.run(program, d)
		if err != nil {
			t.Fatal(err)
		}
		if got := int(result); got >= p.Shards || slices.Contains(p.Avoid, got) && len(p.usable()) < p.Shards || got != wanted(p, m, d) {
			t.Errorf("shard %d of %d, want %d; avoiding %v", got, p.Shards, wanted(p, m, d), p.Avoid)
		}
	})
}

// fuzzed returns a datagram from an IPv4 or IPv6 address, by the length of from.
func fuzzed(from []byte, port uint16, headers byte) datagram {
	extra := int(headers & 0x7f)
	if len(from) < 16 {
		var a [4]byte
		copy(a[:], from)
		return datagram4(netip.AddrPortFrom(netip.AddrFrom4(a), port), extra%11*4)
	}
	a := netip.AddrFrom16([16]byte(from))
	if a.Is4In6() { // an IPv4 datagram
		return datagram4(netip.AddrPortFrom(a.Unmap(), port), extra%11*4)
	}
	var extensions []int
	for range extra % 4 {
		extensions = append(extensions, 1+extra/4)
	}
	return datagram6(netip.AddrPortFrom(a, port), extensions...)
}
