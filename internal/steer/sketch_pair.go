package steer

import "sync/atomic"

// SketchPair is a shard's two sketches: the shard's thread fills one while the reader may read the
// other. After a read the reader requests a swap, and the thread swaps at its next Filling.
type SketchPair[S interface{ Clear() }] struct {
	requested atomic.Uint64 // swaps
	swapped   atomic.Uint64
	sketches  [2]S

	current uint64 // swaps so far; of the thread
	read    uint64 // the swap after which the reader has read; of the reader
}

// NewSketchPair returns a pair of two empty sketches.
func NewSketchPair[S interface{ Clear() }](first, second S) *SketchPair[S] {
	return &SketchPair[S]{sketches: [2]S{first, second}}
}

// Full returns what the thread counted before the last swap, or false if the swap is still to come
// or the sketch was read before. The sketch does not change until RequestSwap. For the reader.
func (p *SketchPair[S]) Full() (full S, ok bool) {
	requested := p.requested.Load()
	if requested == p.read || p.swapped.Load() != requested {
		return full, false
	}
	p.read = requested
	return p.sketches[(requested+1)%2], true
}

// RequestSwap requests a swap, unless the last swap is still to come or its sketch was not read.
// For the reader.
func (p *SketchPair[S]) RequestSwap() {
	if requested := p.requested.Load(); p.read == requested {
		p.requested.Store(requested + 1)
	}
}

// Filling makes a requested swap, and returns the sketch to count in. For the thread, at each
// receive call, with datagrams or without: the reader gets a sketch only after the swap.
func (p *SketchPair[S]) Filling() S {
	if requested := p.requested.Load(); requested != p.current {
		p.current = requested
		p.sketches[requested%2].Clear()
		p.swapped.Store(requested)
	}
	return p.sketches[p.current%2]
}
