package steer

import (
	"cmp"
	"net/netip"
	"slices"
)

// Size of a sketch, in flows: a flow with more than an eighth of the datagrams of its set is
// always in the sketch.
const (
	sketchSets = 16
	sketchWays = 8
)

// Sketch counts a shard's datagrams by bucket, and its heaviest flows (Space-Saving: Metwally et
// al., 2005, in sets that a flow's hash chooses). A Sketch takes about 6 KiB, for any number of
// flows. It is fed a sample of the datagrams, with weights.
type Sketch struct {
	Total   uint64
	Buckets []uint32 // by Plan.Bucket
	seed    uint32
	sets    [sketchSets]sketchSet
}

// sketchSet is laid out for few cache lines: Add of a known flow touches 64 bytes of hashes and
// weights, which lie across two lines.
type sketchSet struct {
	hash   [sketchWays]uint32
	weight [sketchWays]uint32 // 0: free
	excess [sketchWays]uint32
	source [sketchWays]netip.AddrPort
}

// Sender is a flow in a Sketch.
type Sender struct {
	Hash   uint32
	Weight uint32 // most datagrams that the flow can have had
	Excess uint32 // datagrams in Weight that may have been of other flows
	Source netip.AddrPort
}

// AtLeast returns the least number of datagrams that the flow can have had.
func (s Sender) AtLeast() uint32 { return s.Weight - s.Excess }

// NewSketch returns an empty sketch with a plan's hash and buckets.
func NewSketch(p Plan) *Sketch { return &Sketch{seed: p.Seed, Buckets: make([]uint32, p.Buckets())} }

// Add counts weight datagrams of a sender.
func (s *Sketch) Add(source netip.AddrPort, weight uint32) {
	hash := Flow(s.seed, source)
	s.Total += uint64(weight)
	s.Buckets[hash%uint32(len(s.Buckets))] += weight
	set := &s.sets[hash>>16%sketchSets]
	lightest := 0
	for i, h := range set.hash {
		if h == hash && set.weight[i] > 0 {
			set.weight[i] += weight
			return
		}
		if set.weight[i] < set.weight[lightest] {
			lightest = i
		}
	}
	set.hash[lightest], set.excess[lightest], set.source[lightest] = hash, set.weight[lightest], source
	set.weight[lightest] += weight
}

// Clear empties the sketch.
func (s *Sketch) Clear() {
	s.Total = 0
	clear(s.Buckets)
	clear(s.sets[:])
}

// Heaviest appends up to n flows to senders, in descending order of AtLeast.
func (s *Sketch) Heaviest(senders []Sender, n int) []Sender {
	from := len(senders)
	for i := range s.sets {
		set := &s.sets[i]
		for way, weight := range set.weight {
			f := Sender{Hash: set.hash[way], Weight: weight, Excess: set.excess[way], Source: set.source[way]}
			if f.AtLeast() > 0 {
				senders = append(senders, f)
			}
		}
	}
	slices.SortFunc(senders[from:], func(a, b Sender) int { return cmp.Compare(b.AtLeast(), a.AtLeast()) })
	return senders[:min(len(senders), from+n)]
}
