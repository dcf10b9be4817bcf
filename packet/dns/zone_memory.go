package dns

import "strings"

// chunkLen is the number of elements of a chunk.
const chunkLen = 4096

// chunks is a list that grows without copying, but for the first chunk.
type chunks[T any] struct {
	all [][]T
	n   int
}

func (c *chunks[T]) len() int { return c.n }

// at returns an element. The pointer is valid until the next add.
func (c *chunks[T]) at(i uint32) *T { return &c.all[i/chunkLen][i%chunkLen] }

// add appends an element, and returns its index.
func (c *chunks[T]) add(v T) uint32 {
	k := c.n / chunkLen
	if k == len(c.all) {
		var chunk []T
		if k > 0 {
			chunk = make([]T, 0, chunkLen)
		}
		c.all = append(c.all, chunk)
	}
	c.all[k] = append(c.all[k], v)
	c.n++
	return uint32(c.n - 1)
}

// textStore holds strings one after the other, in chunks. A string is found by its offset.
type textStore struct{ chunks []*strings.Builder }

const (
	textShift = 20 // of the number of a chunk in an offset
	textChunk = 1 << textShift
	// maxTextChunks leaves room in an offset for one more name and its data.
	maxTextChunks = 1<<(32-textShift) - 2
)

// isFull reports whether the store has no room for more.
func (t *textStore) isFull() bool { return len(t.chunks) > maxTextChunks }

// add appends a string of at most 65,535 octets, and returns its offset.
func (t *textStore) add(s string) uint32 {
	if n := len(t.chunks); n == 0 || t.chunks[n-1].Len()+len(s) >= textChunk {
		chunk := new(strings.Builder)
		if n > 0 {
			chunk.Grow(textChunk)
		}
		t.chunks = append(t.chunks, chunk)
	}
	k := len(t.chunks) - 1
	at := uint32(k<<textShift | t.chunks[k].Len())
	t.chunks[k].WriteString(s)
	return at
}

// get returns the string of n octets at an offset. The string shares the memory of the store.
func (t *textStore) get(at uint32, n int) string {
	i := at % textChunk
	return t.chunks[at>>textShift].String()[i:][:n]
}
