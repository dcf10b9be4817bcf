package syslog

import (
	"bytes"
	"hash/maphash"
	"math/bits"
)

// nameTable finds repeated names, in time proportional to the number of names: a datagram has room
// for thousands. The table is a hash table with open addressing that is reused for the next
// message. A slot counts only in the round in which the slot was filled, so nothing needs clearing.
// The seed is random: a sender cannot choose names that collide. From three names on, the table is
// faster than comparing all pairs.
type nameTable struct {
	slots  []nameSlot
	seed   maphash.Seed
	seeded bool
	round  uint32
}

type nameSlot struct {
	round uint32
	index int32 // of the last element or param with the name
}

// startRound begins a round for n names, and returns the slots to use: no more slots than n names
// need, to stay in the CPU's cache.
func (t *nameTable) startRound(n int) []nameSlot {
	if !t.seeded {
		t.seed, t.seeded = maphash.MakeSeed(), true
	}
	size := 1 << bits.Len(uint(2*n-1))
	if len(t.slots) < size {
		t.slots, t.round = make([]nameSlot, size), 0
	}
	if t.round++; t.round == 0 { // after a wrap, slots of the first rounds would count again
		clear(t.slots)
		t.round = 1
	}
	return t.slots[:size]
}

// repeatedID reports whether two elements have the same ID.
func (t *nameTable) repeatedID(elements []Element) bool {
	if len(elements) < 2 {
		return false
	}
	slots := t.startRound(len(elements))
	mask := uint64(len(slots) - 1)
	for i := range elements {
		at := maphash.Bytes(t.seed, elements[i].ID) & mask
		for ; slots[at].round == t.round; at = (at + 1) & mask {
			if bytes.Equal(elements[slots[at].index].ID, elements[i].ID) {
				return true
			}
		}
		slots[at] = nameSlot{t.round, int32(i)}
	}
	return false
}

// linkRepeats links the params with the same name.
func (t *nameTable) linkRepeats(params []Param) {
	if len(params) < 2 {
		return
	}
	slots := t.startRound(len(params))
	mask := uint64(len(slots) - 1)
	for i := range params {
		at := maphash.Bytes(t.seed, params[i].Name) & mask
		for ; slots[at].round == t.round; at = (at + 1) & mask {
			if last := &params[slots[at].index]; bytes.Equal(last.Name, params[i].Name) {
				last.nextSame, params[i].repeated = int32(i), true
				break
			}
		}
		slots[at] = nameSlot{t.round, int32(i)}
	}
}
