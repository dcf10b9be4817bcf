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
	sets    [sketchSets][sketchWays]Sender
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
	least := &set[0]
	for i := range set {
		f := &set[i]
		if f.Hash == hash && f.Weight > 0 {
			f.Weight += weight
			return
		}
		if f.Weight < least.Weight {
			least = f
		}
	}
	*least = Sender{Hash: hash, Weight: least.Weight + weight, Excess: least.Weight, Source: source}
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
		for _, f := range s.sets[i] {
			if f.Least() > 0 {
				flows = append(flows, f)
			}
		}
	}
	slices.SortFunc(flows[from:], func(a, b Sender) int { return cmp.Compare(b.Least(), a.Least()) })
	return flows[:min(len(flows), from+n)]
}
