package steer

import (
	"cmp"
	"net/netip"
	"slices"
)

// A sketch has room for this many flows: whoever sends more than an eighth of
// the datagrams that fall into its set is always among them.
const (
	sketchSets = 16
	sketchWays = 8
)

// Sketch is what a shard remembers of its datagrams for a while: how many
// fell into each bucket, and which flows had the most (Space-Saving: Metwally
// et al., 2005, in sets that a flow's hash chooses). It takes about 6 KiB,
// however many flows there are, and is fed a sample with weights.
type Sketch struct {
	Total   uint64
	Buckets []uint32 // by Plan.Bucket
	seed    uint32
	sets    [sketchSets]sketchSet
}

// sketchSet is laid out so that one more datagram of a known flow touches
// few cache lines: hashes and weights are 64 bytes, which lie across two.
type sketchSet struct {
	hash   [sketchWays]uint32
	weight [sketchWays]uint32 // 0: the place is free
	excess [sketchWays]uint32
	source [sketchWays]netip.AddrPort
}

// Sender is a flow in a Sketch.
type Sender struct {
	Hash   uint32
	Weight uint32 // datagrams, at the most
	Excess uint32 // of these, so many may have been others'
	Source netip.AddrPort
}

// Least returns how many datagrams the flow had at the least.
func (f Sender) Least() uint32 { return f.Weight - f.Excess }

// NewSketch returns an empty sketch for a plan's hash and buckets.
func NewSketch(p Plan) *Sketch { return &Sketch{seed: p.Seed, Buckets: make([]uint32, p.Buckets())} }

// Add counts weight datagrams of a sender.
func (s *Sketch) Add(source netip.AddrPort, weight uint32) {
	hash := Flow(s.seed, source)
	s.Total += uint64(weight)
	s.Buckets[hash%uint32(len(s.Buckets))] += weight
	set := &s.sets[hash>>16%sketchSets]
	least := 0
	for i, h := range set.hash {
		if h == hash && set.weight[i] > 0 {
			set.weight[i] += weight
			return
		}
		if set.weight[i] < set.weight[least] {
			least = i
		}
	}
	set.hash[least], set.excess[least], set.source[least] = hash, set.weight[least], source
	set.weight[least] += weight
}

// Clear empties it.
func (s *Sketch) Clear() {
	s.Total = 0
	clear(s.Buckets)
	clear(s.sets[:])
}

// Heaviest appends up to n flows to flows, the heaviest first, by what they
// had at the least.
func (s *Sketch) Heaviest(flows []Sender, n int) []Sender {
	from := len(flows)
	for i := range s.sets {
		set := &s.sets[i]
		for way, weight := range set.weight {
			f := Sender{Hash: set.hash[way], Weight: weight, Excess: set.excess[way], Source: set.source[way]}
			if f.Least() > 0 {
				flows = append(flows, f)
			}
		}
	}
	slices.SortFunc(flows[from:], func(a, b Sender) int { return cmp.Compare(b.Least(), a.Least()) })
	return flows[:min(len(flows), from+n)]
}
