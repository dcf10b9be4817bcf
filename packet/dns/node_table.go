package dns

import (
	"hash/maphash"
	"math/bits"
)

// table finds the nodes of a zone by name: a hash table with open addressing, at most half full. The seed is
// random, so clients cannot choose names that collide. A lookup of a missing name usually reads one
// slot.
type table struct {
	seed  maphash.Seed
	slots []slot
	mask  uint64
}

type slot struct {
	tag  uint32 // half of the hash; the other half chooses the slot
	node uint32 // 0 is none
}

func newTable(nodes int) table {
	size := 1 << bits.Len(uint(2*nodes))
	return table{seed: maphash.MakeSeed(), slots: make([]slot, size), mask: uint64(size - 1)}
}

func (t *table) insert(name []byte, node uint32) {
	h := maphash.Bytes(t.seed, name)
	i := h & t.mask
	for t.slots[i].node != 0 {
		i = (i + 1) & t.mask
	}
	t.slots[i] = slot{uint32(h >> 32), node}
}

// findNode returns the node of a name in lower case, or nil.
func (z *servedZone) findNode(name []byte) *node {
	h := maphash.Bytes(z.table.seed, name)
	for i := h & z.table.mask; ; i = (i + 1) & z.table.mask {
		s := z.table.slots[i&uint64(len(z.table.slots)-1)]
		if s.node == 0 {
			return nil
		}
		if s.tag == uint32(h>>32) {
			n := &z.nodes[s.node]
			if int(n.length) == len(name) && string(z.nameOf(n)) == string(name) {
				return n
			}
		}
	}
}

// nameOf returns the name of a node, in lower case.
func (z *servedZone) nameOf(n *node) []byte { return z.wire[n.name : n.name+uint32(n.length)] }
