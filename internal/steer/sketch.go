package steer

import "net/netip"

// Sketch counts a shard's datagrams by bucket, and its heaviest flows. A Sketch takes about 6 KiB,
// for any number of flows. It is fed a sample of the datagrams, with weights.
type Sketch struct {
	Heavy[netip.AddrPort]
	Buckets []uint32 // by Plan.Bucket
	seed    uint32
}

// NewSketch returns an empty sketch with a plan's hash and buckets.
func NewSketch(p Plan) *Sketch { return &Sketch{seed: p.Seed, Buckets: make([]uint32, p.Buckets())} }

// Add counts weight datagrams of a sender.
func (s *Sketch) Add(source netip.AddrPort, weight uint32) {
	hash := Flow(s.seed, source)
	s.Buckets[hash%uint32(len(s.Buckets))] += weight
	s.Heavy.Add(hash, source, weight)
}

// Clear empties the sketch.
func (s *Sketch) Clear() {
	clear(s.Buckets)
	s.Heavy.Clear()
}
