package shard

import (
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
)

// sampleStride is of how many messages in a row one is looked at, for the
// sketch of a shard's senders: a look costs some 20 ns. At 10,000/s a second
// of them still tells a sender's part to within three in a hundred.
const sampleStride = 32

// tally is a shard's sketch of its senders, in two copies: the shard's thread
// fills one while the steerer may read the other. The steerer asks for a turn
// when it has read, and the thread turns at its next batch.
type tally struct {
	asked  atomic.Uint64 // turns
	turned atomic.Uint64
	copies [2]*steer.Sketch

	turn   uint64 // the thread's own
	random uint32 // the thread's own
	read   uint64 // the steerer's own
}

func newTally(p steer.Plan) *tally {
	return &tally{copies: [2]*steer.Sketch{steer.NewSketch(p), steer.NewSketch(p)}}
}

// full returns what the thread counted before its last turn, if the steerer
// has not read that yet. It stays until the steerer asks for another turn.
func (t *tally) full() *steer.Sketch {
	asked := t.asked.Load()
	if asked == t.read || t.turned.Load() != asked {
		return nil
	}
	t.read = asked
	return t.copies[(asked+1)%2]
}

// ask asks for a turn, unless the last one is still to be made, or read.
func (t *tally) ask() {
	if asked := t.asked.Load(); t.read == asked {
		t.asked.Store(asked + 1)
	}
}

// filling returns the copy to count in. Called by the thread, once a batch.
func (t *tally) filling() *steer.Sketch {
	if asked := t.asked.Load(); asked != t.turn {
		t.turn = asked
		t.copies[asked%2].Clear()
		t.turned.Store(asked)
	}
	return t.copies[t.turn%2]
}

// observe looks at one message in each stride of those just received, which
// one being left to chance: senders that take turns are no more than they are.
func (s *shard) observe(n int) {
	sketch := s.tally.filling()
	for from := 0; from < n; from += sampleStride {
		stride := min(sampleStride, n-from)
		s.tally.random = s.tally.random*1664525 + 1013904223 // Numerical Recipes' ranqd1
		i := from + int(uint64(s.tally.random)*uint64(stride)>>32)
		weight := stride
		if size := s.trainOf(i); size > 1 {
			weight *= size
		}
		source, _ := s.receiver.Source(i)
		sketch.Add(source, uint32(weight))
	}
}

// trainOf returns how many datagrams message i is.
func (s *shard) trainOf(i int) int {
	if !s.group.config.GRO {
		return 1
	}
	segment := s.receiver.Segment(i)
	if segment <= 0 {
		return 1
	}
	return (len(s.receiver.Payload(i)) + segment - 1) / segment
}

// sample is how the shard does. Called by the steerer.
func (s *shard) sample(now time.Time) steer.Sample {
	g := s.page.Sample(now)
	return steer.Sample{
		Received: g.Received, Dropped: g.Dropped, Queued: g.Queued, Buffer: g.Buffer, Away: g.SinceHeartbeat, Held: g.OutputWait,
		Waited: s.waits.of(s.page.Thread()), Sketch: s.tally.full(),
	}
}
