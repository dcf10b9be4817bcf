package steer

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// stream is the input of a sketch, counted exactly.
type stream struct {
	sketch *Sketch
	plan   Plan
	counts map[netip.AddrPort]uint64
	total  uint64
}

func newStream(p Plan) *stream {
	return &stream{sketch: NewSketch(p), plan: p, counts: make(map[netip.AddrPort]uint64)}
}

func (s *stream) add(source netip.AddrPort, weight uint32) {
	s.sketch.Add(source, weight)
	s.counts[source] += uint64(weight)
	s.total += uint64(weight)
}

// set returns the set of a flow.
func (s *stream) set(source netip.AddrPort) uint32 {
	return Flow(s.plan.Seed, source) >> 16 % sketchSets
}

// check compares the sketch with its documentation.
func (s *stream) check(t *testing.T) {
	t.Helper()
	if s.sketch.Total != s.total {
		t.Errorf("the sketch has %d datagrams of %d", s.sketch.Total, s.total)
	}
	buckets := make([]uint32, s.plan.Buckets())
	sets := make([]uint64, sketchSets)
	for source, n := range s.counts {
		buckets[s.plan.Bucket(Flow(s.plan.Seed, source))] += uint32(n)
		sets[s.set(source)] += n
	}
	if !slices.Equal(buckets, s.sketch.Buckets) {
		t.Error("buckets are not as flows fell into them")
	}
	found, sum := make(map[netip.AddrPort]bool), uint64(0)
	for _, f := range s.sketch.Heaviest(nil, sketchSets*sketchWays) {
		n := s.counts[f.Key]
		if uint64(f.AtLeast()) > n || uint64(f.Weight) < n || f.Hash != Flow(s.plan.Seed, f.Key) || found[f.Key] {
			t.Errorf("%+v, which is at the least %d, sent %d", f, f.AtLeast(), n)
		}
		if of := sets[s.set(f.Key)]; uint64(f.Excess) > of/sketchWays {
			t.Errorf("%+v: others had more than an eighth of the %d of its set", f, of)
		}
		found[f.Key] = true
		sum += uint64(f.Weight)
	}
	if sum != s.total {
		t.Errorf("weights add up to %d of %d", sum, s.total)
	}
	for source, n := range s.counts {
		if of := sets[s.set(source)]; n > of/sketchWays && !found[source] {
			t.Errorf("%s sent %d of its set's %d, and was forgotten", source, n, of)
		}
	}
}

func TestSketchFindsAHeavySender(t *testing.T) {
	for _, heavy := range []netip.AddrPort{netip.MustParseAddrPort("10.9.9.9:514"), netip.MustParseAddrPort("[2001:db8::9]:514")} {
		s := newStream(Plan{Mode: Auto, Shards: 4, Seed: 7})
		random, others := rand.New(rand.NewPCG(1, 2)), flows(5000)
		for i := range 50_000 {
			if i%10 > 0 {
				s.add(heavy, 32)
			} else {
				s.add(others[random.IntN(len(others))], 32)
			}
		}
		s.check(t)
		most := s.sketch.Heaviest(nil, 1)
		if len(most) != 1 || most[0].Key != heavy {
			t.Fatalf("the heaviest is %+v, want %s", most, heavy)
		}
		if least := float64(most[0].AtLeast()) / float64(s.total); least < 0.88 || least > 0.9 {
			t.Errorf("%s had %.1f%% at the least, sent were 90%%", heavy, 100*least)
		}
	}
}

// A flow with more than an eighth of its set's datagrams is kept, in any order of the datagrams.
func TestSketchKeepsHeavyFlows(t *testing.T) {
	s := newStream(Plan{Mode: Auto, Shards: 4})
	var same []netip.AddrPort // flows of one set
	for _, f := range flows(100_000) {
		if s.set(f) == 3 {
			same = append(same, f)
		}
	}
	const n = 700 // beside 7n-1 datagrams of other flows
	heavy, others := same[0], same[1:]
	for name, order := range map[string]func(add func(heavy bool)){
		"first": func(add func(bool)) {
			for i := range 8*n - 1 {
				add(i < n)
			}
		},
		"last": func(add func(bool)) {
			for i := range 8*n - 1 {
				add(i >= 7*n-1)
			}
		},
		"in turn": func(add func(bool)) {
			for i := range 8*n - 1 {
				add(i%8 == 0)
			}
		},
	} {
		for few := 7; few < len(others); few *= 4 {
			s := newStream(Plan{Mode: Auto, Shards: 4})
			next := 0
			order(func(isHeavy bool) {
				if isHeavy {
					s.add(heavy, 1)
					return
				}
				s.add(others[next%few], 1)
				next++
			})
			if s.counts[heavy] != n || s.total != 8*n-1 {
				t.Fatalf("%s: %d of %d are the heavy sender's", name, s.counts[heavy], s.total)
			}
			s.check(t)
		}
	}
}

func TestSketchOfAnything(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		s := newStream(Plan{Mode: Auto, Shards: 1 + random.IntN(300), Seed: random.Uint32()})
		senders := flows(1 + random.IntN(3000))
		for range 5000 {
			i := int(float64(len(senders)) * random.Float64() * random.Float64() * random.Float64()) // uneven
			s.add(senders[i], 1+random.Uint32N(64))
		}
		s.check(t)
	}
}

func TestSketchOrder(t *testing.T) {
	s := NewSketch(Plan{Mode: Auto, Shards: 4})
	senders := flows(10)
	for i, f := range senders {
		s.Add(f, uint32(10*((i*7)%10)+1)) // 1, 71, 41, ...
	}
	before := Weighed[netip.AddrPort]{Key: netip.MustParseAddrPort("192.0.2.1:1"), Weight: 1}
	for _, n := range []int{0, 1, 3, 10, 100} {
		got := s.Heaviest([]Weighed[netip.AddrPort]{before}, n)
		if len(got) != 1+min(n, len(senders)) || got[0] != before {
			t.Fatalf("the heaviest %d are %+v", n, got)
		}
		for i, f := range got[1:] {
			if want := uint32(10*(9-i) + 1); f.Weight != want || f.AtLeast() != want {
				t.Errorf("number %d of the heaviest %d has %d, want %d", i, n, f.Weight, want)
			}
		}
	}
}

// Heaviest sorts without the Excess.
func TestSketchOrderIsByTheLeast(t *testing.T) {
	var same []netip.AddrPort
	elsewhere := netip.AddrPort{}
	s := newStream(Plan{Mode: Auto, Shards: 4})
	for _, f := range flows(1000) {
		if s.set(f) == 3 {
			same = append(same, f)
		} else {
			elsewhere = f
		}
	}
	for i, f := range same[:sketchWays] {
		s.add(f, uint32(100+i))
	}
	late := same[sketchWays]
	s.add(late, 5) // replaces the flow with 100
	s.add(elsewhere, 10)
	s.check(t)
	heaviest := s.sketch.Heaviest(nil, 100)
	if least := heaviest[len(heaviest)-1]; least.Key != late || least.Weight != 105 || least.Excess != 100 || least.AtLeast() != 5 {
		t.Errorf("the last of the heaviest is %+v, want %s with 5 of 105", least, late)
	}
}

func TestSketchClear(t *testing.T) {
	p := Plan{Mode: Auto, Shards: 4, Seed: 7}
	s := newStream(p)
	for _, f := range flows(1000) {
		s.add(f, 32)
	}
	s.sketch.Clear()
	if left := s.sketch.Heaviest(nil, 100); len(left) > 0 || s.sketch.Total != 0 || slices.Max(s.sketch.Buckets) != 0 {
		t.Errorf("after Clear: %d datagrams, %+v", s.sketch.Total, left)
	}
	again := &stream{sketch: s.sketch, plan: p, counts: make(map[netip.AddrPort]uint64)}
	for _, f := range flows(100) {
		again.add(f, 1)
	}
	again.check(t)
}

func TestSketchAllocatesNothing(t *testing.T) {
	s, senders := NewSketch(Plan{Mode: Auto, Shards: 4}), flows(1000)
	heaviest, i := make([]Weighed[netip.AddrPort], 0, sketchSets*sketchWays), 0
	if n := testing.AllocsPerRun(10_000, func() {
		s.Add(senders[i%len(senders)], 32)
		i++
	}); n != 0 {
		t.Errorf("Add allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { s.Heaviest(heaviest, 10); s.Clear() }); n != 0 {
		t.Errorf("Heaviest and Clear allocate %v times", n)
	}
}

// The cost of a datagram of the sample.
func BenchmarkSketchAdd(b *testing.B) {
	six := make([]netip.AddrPort, 1000)
	for i := range six {
		six[i] = netip.AddrPortFrom(ip6(documentation, uint64(i)), 514)
	}
	for _, bench := range []struct {
		name    string
		senders []netip.AddrPort
	}{
		{"1 sender", flows(1)},
		{"100 senders", flows(100)},
		{"1000 senders", flows(1000)},
		{"100000 senders", flows(100_000)},
		{"1000 IPv6 senders", six},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s, i := NewSketch(Plan{Mode: Auto, Shards: 4, Seed: 7}), 0
			b.ReportAllocs()
			for b.Loop() {
				s.Add(bench.senders[i], 32)
				if i++; i == len(bench.senders) {
					i = 0
				}
			}
		})
	}
}
