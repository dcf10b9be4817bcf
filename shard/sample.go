package shard

import (
	"time"

	"github.com/udpshard/udpshard/internal/steer"
)

// sampleStride is of how many messages in a row one is looked at, for the
// sketch of a shard's senders: a look costs some 20 ns. At 10,000/s a second
// of them still tells a sender's part to within three in a hundred.
const sampleStride = 32

// observe looks at one message in each stride of those just received, which
// one being left to chance: senders that take turns are no more than they are.
func (s *shard) observe(n int) {
	sketch := s.sketches.Filling()
	for from := 0; from < n; from += sampleStride {
		stride := min(sampleStride, n-from)
		s.random = s.random*1664525 + 1013904223 // Numerical Recipes' ranqd1
		i := from + int(uint64(s.random)*uint64(stride)>>32)
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
		Received: g.Received, Dropped: g.Dropped, Queued: g.Queued, Buffer: g.Buffer, SinceHeartbeat: g.SinceHeartbeat, OutputWait: g.OutputWait,
		RunDelay: s.waits.Of(s.page.Thread()), Sketch: s.sketches.Full(),
	}
}
