package steer

import "sync/atomic"

// SketchPair is a shard's sketch of its senders, in two copies: the shard's thread
// fills one while the steerer may read the other. The steerer asks for a turn
// when it has read, and the thread turns at its next batch.
type SketchPair struct {
	asked  atomic.Uint64 // turns
	turned atomic.Uint64
	copies [2]*Sketch

	turn uint64 // the thread's own
	read uint64 // the steerer's own
}

// NewSketchPair returns one for a plan's hash and buckets.
func NewSketchPair(p Plan) *SketchPair {
	return &SketchPair{copies: [2]*Sketch{NewSketch(p), NewSketch(p)}}
}

// Full returns what the thread counted before its last turn, if the steerer
// has not read that yet. It stays until the steerer asks for another turn.
func (t *SketchPair) Full() *Sketch {
	asked := t.asked.Load()
	if asked == t.read || t.turned.Load() != asked {
		return nil
	}
	t.read = asked
	return t.copies[(asked+1)%2]
}

// Ask asks for a turn, unless the last one is still to be made, or read.
func (t *SketchPair) Ask() {
	if asked := t.asked.Load(); t.read == asked {
		t.asked.Store(asked + 1)
	}
}

// Filling returns the copy to count in. Called by the thread, once a batch.
func (t *SketchPair) Filling() *Sketch {
	if asked := t.asked.Load(); asked != t.turn {
		t.turn = asked
		t.copies[asked%2].Clear()
		t.turned.Store(asked)
	}
	return t.copies[t.turn%2]
}
