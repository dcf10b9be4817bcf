package syslog

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// fewNames is up to how many names are compared each with each: faster than
// hashing them, as a benchmark said. Beyond it the table is used, so that the
// thousands of names that fit in a datagram take linear time.
const fewNames = 8

// nameTable finds names that repeat. It is a hash table with open addressing
// that is kept for the next message: a slot counts only if it is of the
// present round, so nothing needs clearing. The seed is random: a sender
// cannot choose names that collide.
type nameTable struct {
	slots  []nameSlot
	seed   maphash.Seed
	seeded bool
	round  uint32
}

type nameSlot struct {
	round uint32
	index int32 // of the last one seen with this name
}

// start begins a round for n names.
func (t *nameTable) start(n int) {
	if !t.seeded {
		t.seed, t.seeded = maphash.MakeSeed(), true
	}
	if size := 1 << bits.Len(uint(2*n-1)); len(t.slots) < size {
		t.slots, t.round = make([]nameSlot, size), 0
	}
	if t.round++; t.round == 0 { // wrapped: slots of the first rounds would count again
		clear(t.slots)
		t.round = 1
	}
}

// repeatedID reports whether two elements have the same ID.
func (t *nameTable) repeatedID(elements []Element) bool {
	if len(elements) <= fewNames {
		for i := range elements {
			for j := range i {
				if bytes.Equal(elements[j].ID, elements[i].ID) {
					return true
				}
			}
		}
		return false
	}
	t.start(len(elements))
	mask := uint64(len(t.slots) - 1)
	for i := range elements {
		at := maphash.Bytes(t.seed, elements[i].ID) & mask
		for ; t.slots[at].round == t.round; at = (at + 1) & mask {
			if bytes.Equal(elements[t.slots[at].index].ID, elements[i].ID) {
				return true
			}
		}
		t.slots[at] = nameSlot{t.round, int32(i)}
	}
	return false
}

// linkRepeats chains the params of each name that repeats.
func (t *nameTable) linkRepeats(params []Param) {
	if len(params) <= fewNames {
		for i := range params {
			for j := i - 1; j >= 0; j-- {
				if bytes.Equal(params[j].Name, params[i].Name) {
					params[j].next, params[i].again = int32(i), true
					break
				}
			}
		}
		return
	}
	t.start(len(params))
	mask := uint64(len(t.slots) - 1)
	for i := range params {
		at := maphash.Bytes(t.seed, params[i].Name) & mask
		for ; t.slots[at].round == t.round; at = (at + 1) & mask {
			if last := &params[t.slots[at].index]; bytes.Equal(last.Name, params[i].Name) {
				last.next, params[i].again = int32(i), true
				break
			}
		}
		t.slots[at] = nameSlot{t.round, int32(i)}
	}
}
