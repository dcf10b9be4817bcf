// Package arena holds millions of small things in chunks: a list grows without copying, and the
// garbage collector has few pointers to follow.
package arena

import "strings"

// chunkLen is the number of elements of a chunk.
const chunkLen = 4096

// List is a list that grows without copying, but for the first chunk.
type List[T any] struct {
	all [][]T
	n   int
}

// Len returns the number of elements.
func (c *List[T]) Len() int { return c.n }

// At returns an element. The pointer is valid until the next Add.
func (c *List[T]) At(i uint32) *T { return &c.all[i/chunkLen][i%chunkLen] }

// Add appends an element, and returns its index.
func (c *List[T]) Add(v T) uint32 {
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

// Text is strings one after the other, in chunks. A string is found by its offset.
type Text struct{ chunks []*strings.Builder }

const (
	textShift = 20 // of the number of a chunk in an offset
	textChunk = 1 << textShift
	// maxTextChunks leaves room in an offset for two strings more.
	maxTextChunks = 1<<(32-textShift) - 2
)

// IsFull reports whether there is no room for two strings more.
func (t *Text) IsFull() bool { return len(t.chunks) > maxTextChunks }

// Add appends a string of at most 65,535 octets, and returns its offset.
func (t *Text) Add(s string) uint32 {
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

// Get returns the string of n octets at an offset. The string shares the memory of t.
func (t *Text) Get(at uint32, n int) string {
	i := at % textChunk
	return t.chunks[at>>textShift].String()[i:][:n]
}
