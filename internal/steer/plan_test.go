package steer

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// flows returns n sources, four ports for each address.
func flows(n int) []netip.AddrPort {
	const ports = 4
	var flows []netip.AddrPort
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, byte(i / ports >> 16), byte(i / ports >> 8), byte(i / ports)})
		flows = append(flows, netip.AddrPortFrom(a, uint16(1024+i%ports)))
	}
	return flows
}

// mustShard returns the one shard of a flow.
func mustShard(t *testing.T, p Plan, source netip.AddrPort) int {
	t.Helper()
	shard, one := p.Shard(source)
	if !one || shard < 0 || shard >= p.Shards {
		t.Fatalf("%s is on shard %d of %d (one: %t)", source, shard, p.Shards, one)
	}
	return shard
}

func TestEachShardIsHomeToAsManyBuckets(t *testing.T) {
	for shards := 1; shards <= 4096; shards++ {
		if shards > 300 && shards%97 != 0 && shards != 4096 {
			continue // like the numbers before
		}
		p := Plan{Mode: Auto, Shards: shards}
		buckets := p.Buckets()
		if buckets < 256 || buckets < 4*shards || buckets >= max(256+shards, 4*shards+1) {
			t.Errorf("%d shards: %d buckets", shards, buckets)
		}
		homes := make([]int, shards)
		for b := range buckets {
			homes[p.Home(b)]++
		}
		if slices.Min(homes) != slices.Max(homes) {
			t.Errorf("%d shards: from %d to %d buckets each", shards, slices.Min(homes), slices.Max(homes))
		}
	}
	for shards, want := range map[int]int{1: 256, 2: 256, 3: 258, 4: 256, 64: 256, 65: 260, 100: 400, 4096: 16384} {
		if got := (Plan{Shards: shards}).Buckets(); got != want {
			t.Errorf("%d shards: %d buckets, want %d", shards, got, want)
		}
	}
}

func TestAFlowIsAtItsBucketsHome(t *testing.T) {
	for _, shards := range []int{1, 2, 3, 5, 64, 100, 4096} {
		p := Plan{Mode: Auto, Shards: shards, Seed: 7}
		for _, f := range flows(1000) {
			bucket := p.Bucket(Flow(p.Seed, f))
			if bucket < 0 || bucket >= p.Buckets() {
				t.Fatalf("%d shards: bucket %d of %d", shards, bucket, p.Buckets())
			}
			if shard := mustShard(t, p, f); shard != p.Home(bucket) {
				t.Fatalf("%d shards: %s is on shard %d, its bucket's home is %d", shards, f, shard, p.Home(bucket))
			}
		}
	}
}

func TestOnlyMovedBucketsMove(t *testing.T) {
	plain := Plan{Mode: Auto, Shards: 4, Seed: 7}
	p := plain
	p.Moved = map[int]int{0: 1, 5: 3, 6: 2 /* home */, 255: 0}
	moved := 0
	for _, f := range flows(20_000) {
		want := mustShard(t, plain, f)
		if to, ok := p.Moved[p.Bucket(Flow(p.Seed, f))]; ok {
			want = to
			moved++
		}
		if got := mustShard(t, p, f); got != want {
			t.Fatalf("%s is on shard %d, want %d", f, got, want)
		}
	}
	if moved == 0 {
		t.Error("no flow was in a moved bucket")
	}
	// Only Auto has buckets.
	p.Mode, plain.Mode = Source, Source
	for _, f := range flows(1000) {
		if mustShard(t, p, f) != mustShard(t, plain, f) {
			t.Fatalf("%s was moved by its address", f)
		}
	}
}

func TestOnlyFlowsOfAvoidedShardsMove(t *testing.T) {
	for _, mode := range []Mode{Auto, Source} {
		for _, test := range []struct {
			shards int
			avoid  []int
		}{
			{2, []int{0}}, {2, []int{1}}, {5, []int{0, 4}}, {5, []int{3, 1, 3}}, {8, []int{0, 1, 2, 3, 4, 5, 6}}, {64, []int{63}},
		} {
			plain := Plan{Mode: mode, Shards: test.shards, Seed: 7}
			p := plain
			p.Avoid = test.avoid
			const n = 16_000
			took := make([]int, test.shards)
			displaced := 0
			for _, f := range flows(n) {
				was, is := mustShard(t, plain, f), mustShard(t, p, f)
				switch {
				case slices.Contains(test.avoid, is):
					t.Fatalf("%s: shard %d is to be avoided, and has %s", mode, is, f)
				case slices.Contains(test.avoid, was):
					took[is]++
					displaced++
				case is != was:
					t.Fatalf("%s: %s went from shard %d to %d without a reason", mode, f, was, is)
				}
			}
			usable := p.usable()
			fair := float64(displaced) / float64(len(usable))
			for _, i := range usable { // four flows have one address, and Source keeps the four together
				if off := math.Abs(float64(took[i]) - fair); off > 6*2*math.Sqrt(fair) {
					t.Errorf("%s, avoiding %v of %d: shard %d took %d of %d flows", mode, test.avoid, test.shards, i, took[i], displaced)
				}
			}
		}
	}
}

func TestAMovedBucketAvoidsToo(t *testing.T) {
	p := Plan{Mode: Auto, Shards: 4, Seed: 7, Avoid: []int{2}, Moved: map[int]int{}}
	for b := range p.Buckets() {
		p.Moved[b] = 2
	}
	reached := make([]int, p.Shards)
	for _, f := range flows(1000) {
		reached[mustShard(t, p, f)]++
	}
	if reached[2] > 0 || reached[0] < 250 || reached[1] < 250 || reached[3] < 250 {
		t.Errorf("shards have %v of 1000 flows", reached)
	}
}

func TestAllAvoidedIsNoneAvoided(t *testing.T) {
	for _, mode := range []Mode{Auto, Source} {
		plain := Plan{Mode: mode, Shards: 3, Seed: 7, Moved: map[int]int{0: 1}}
		p := plain
		p.Avoid = []int{2, 0, 1}
		for _, f := range flows(1000) {
			if mustShard(t, p, f) != mustShard(t, plain, f) {
				t.Fatalf("%s: %s moved", mode, f)
			}
		}
	}
}

func TestFlowsOfNoSingleShard(t *testing.T) {
	f := flows(2)
	sprayed := []uint32{1, Flow(7, f[0])}
	for _, test := range []struct {
		plan Plan
		flow netip.AddrPort
		one  bool
	}{
		{Plan{Mode: Auto, Shards: 4, Seed: 7, Sprayed: sprayed}, f[0], false},
		{Plan{Mode: Auto, Shards: 4, Seed: 7, Sprayed: sprayed}, f[1], true},
		{Plan{Mode: Source, Shards: 4, Seed: 7, Sprayed: sprayed}, f[0], true},
		{Plan{Mode: Hash, Shards: 4}, f[0], false},
		{Plan{Mode: CPU, Shards: 1, CPUs: []int{0}}, f[0], false},
		{Plan{Mode: Spray, Shards: 4}, f[0], false},
	} {
		if _, one := test.plan.Shard(test.flow); one != test.one {
			t.Errorf("%s, %d sprayed: one shard: %t", test.plan.Mode, len(test.plan.Sprayed), one)
		}
	}
}

func TestSourceKeepsPortsTogether(t *testing.T) {
	p := Plan{Mode: Source, Shards: 16, Seed: 7}
	reached := make(map[int]bool)
	for i, f := range flows(400) {
		shard := mustShard(t, p, f)
		reached[shard] = true
		if other := mustShard(t, p, netip.AddrPortFrom(f.Addr(), uint16(i))); other != shard {
			t.Fatalf("%s is on shard %d, its port %d on %d", f, shard, i, other)
		}
	}
	if len(reached) != p.Shards {
		t.Errorf("100 addresses are on %d shards of %d", len(reached), p.Shards)
	}
}

func TestPlansThatNoProgramCouldDo(t *testing.T) {
	many := func(n int) map[int]int {
		moved := make(map[int]int)
		for b := range n {
			moved[b] = 0
		}
		return moved
	}
	for _, test := range []struct {
		plan Plan
		want string // empty: no error
	}{
		{Plan{Mode: Auto}, "plan for 0 shards"},
		{Plan{Mode: Spray, Shards: -1}, "plan for -1 shards"},
		{Plan{Shards: 4}, `plan of mode ""`},
		{Plan{Mode: "east", Shards: 4}, `plan of mode "east"`},
		{Plan{Mode: CPU, Shards: 2, CPUs: []int{0}}, "1 CPUs for 2 shards"},
		{Plan{Mode: CPU, Shards: 2}, "0 CPUs for 2 shards"},
		{Plan{Mode: Auto, Shards: 200, Moved: many(maxMoved + 1)}, "513 buckets moved, and the maximum is 512"},
		{Plan{Mode: Auto, Shards: 200, Moved: many(maxMoved)}, ""},
		{Plan{Mode: Auto, Shards: 4, Sprayed: make([]uint32, maxSprayed+1)}, "33 flows sprayed, and the maximum is 32"},
		{Plan{Mode: Auto, Shards: 4, Sprayed: make([]uint32, maxSprayed)}, ""},
		{Plan{Mode: Auto, Shards: 4, Moved: map[int]int{-1: 0}}, "bucket -1 of 256 on shard 0 of 4"},
		{Plan{Mode: Auto, Shards: 4, Moved: map[int]int{256: 0}}, "bucket 256 of 256 on shard 0 of 4"},
		{Plan{Mode: Auto, Shards: 4, Moved: map[int]int{255: 4}}, "bucket 255 of 256 on shard 4 of 4"},
		{Plan{Mode: Auto, Shards: 4, Moved: map[int]int{255: -1}}, "bucket 255 of 256 on shard -1 of 4"},
		{Plan{Mode: Auto, Shards: 4, Moved: map[int]int{255: 3}}, ""},
		{Plan{Mode: Auto, Shards: 4, Avoid: []int{9, -1}}, ""}, // shards out of range
	} {
		program, err := test.plan.Program()
		switch {
		case test.want == "" && (err != nil || program == nil):
			t.Errorf("%+v: no program: %v", test.plan, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want) || program != nil):
			t.Errorf("%+v: %d instructions, error %v, want %q", test.plan, len(program), err, test.want)
		}
	}
}

// The messages of changes are fixed: the log has fields for what varies.
func TestMessagesOfChanges(t *testing.T) {
	for _, kind := range append(slices.Clone(Kinds), Stalling, Resuming) {
		if message := (Change{Kind: kind}).String(); message == "" || message != (Change{Kind: kind, Shard: 3, Buckets: 60, Reason: "why"}).String() {
			t.Errorf("%s: %q", kind, message)
		}
	}
}
