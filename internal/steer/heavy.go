package steer

import (
	"cmp"
	"slices"
)

// Size of a Heavy, in keys: a key with more than an eighth of the weight of its set is always in
// the Heavy.
const (
	sketchSets = 16
	sketchWays = 8
)

// Heavy counts the heaviest keys of a stream, in memory of fixed size (Space-Saving: Metwally et
// al., 2005, in sets that a key's hash chooses). Keys with the same 32 bits of hash are one key.
// The zero Heavy is empty.
type Heavy[K any] struct {
	Total uint64 // weight of all keys
	sets  [sketchSets]heavySet[K]
}

// heavySet is laid out for few cache lines: Add of a known key touches 64 bytes of hashes and
// weights, which lie across two lines.
type heavySet[K any] struct {
	hash   [sketchWays]uint32
	weight [sketchWays]uint32 // 0: free
	excess [sketchWays]uint32
	key    [sketchWays]K
}

// Weighed is a key in a Heavy.
type Weighed[K any] struct {
	Key    K
	Hash   uint32
	Weight uint32 // the most that the key can have had
	Excess uint32 // the part of Weight that may be of other keys
}

// AtLeast returns the least weight that the key can have had.
func (w Weighed[K]) AtLeast() uint32 { return w.Weight - w.Excess }

// Add counts weight for a key.
func (h *Heavy[K]) Add(hash uint32, key K, weight uint32) {
	h.Total += uint64(weight)
	set := &h.sets[hash>>16%sketchSets]
	lightest := 0
	for i, other := range set.hash {
		if other == hash && set.weight[i] > 0 {
			set.weight[i] += weight
			return
		}
		if set.weight[i] < set.weight[lightest] {
			lightest = i
		}
	}
	set.hash[lightest], set.excess[lightest], set.key[lightest] = hash, set.weight[lightest], key
	set.weight[lightest] += weight
}

// Clear forgets all keys.
func (h *Heavy[K]) Clear() {
	if h.Total > 0 {
		h.Total = 0
		clear(h.sets[:])
	}
}

// Heaviest appends up to n keys to list, in descending order of AtLeast.
func (h *Heavy[K]) Heaviest(list []Weighed[K], n int) []Weighed[K] {
	from := len(list)
	for i := range h.sets {
		set := &h.sets[i]
		for way, weight := range set.weight {
			w := Weighed[K]{Key: set.key[way], Hash: set.hash[way], Weight: weight, Excess: set.excess[way]}
			if w.AtLeast() > 0 {
				list = append(list, w)
			}
		}
	}
	slices.SortFunc(list[from:], func(a, b Weighed[K]) int { return cmp.Compare(b.AtLeast(), a.AtLeast()) })
	return list[:min(len(list), from+n)]
}
