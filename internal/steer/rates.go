package steer

import (
	"math"
	"net/netip"
	"time"
)

// Over how long rates are averaged: for what is decided, and for what is
// shown to people and taken back.
const (
	quick = 300 * time.Millisecond
	slow  = 3 * time.Second
)

// shardState is what the controller knows of a shard.
type shardState struct {
	last    Sample
	arrived float64 // datagrams a second that were sent to it, the dropped ones included
	handled float64 // of these, so many it received
	shown   float64 // arrived, over a longer time
	waited  float64 // part of the time for which it waited for a CPU
	held    float64 // part of the time for which it waited for its output
	lost    float64 // datagrams a second that its socket dropped
	part    float64 // of those that were sent to it in the last tick
	drops   uint8   // ticks at which its socket dropped: the last is bit 0
	losses  uint8   // ticks at which it dropped more than a few
	filled  uint8   // ticks at which its queue was half full
	crowded bool    // at the last tick its CPU was another thread's
	away    time.Duration

	stalled   bool // it has not come back
	avoided   bool // it gets nothing, for that reason
	stalledAt time.Time
	restored  time.Time
	absence   time.Duration // how long it is kept away after it moves again

	relieved  time.Time // when buckets were last moved away
	judge     time.Time // when that is to be judged; zero: not, or no more
	bet       float64   // datagrams a second that others may lose by it
	rests     time.Time // until when no more is tried
	setback   time.Duration
	returned  time.Time // when some were last given back
	patience  time.Duration
	pressed   time.Time // when its queue was last filled
	bears     float64   // datagrams a second that it handled while it was; 0: not known
	bearsTill time.Time
}

func (s *shardState) begin(now Sample) { s.last, s.last.Sketch = now, nil }

// observe brings all rates up to date.
func (c *Controller) observe(now time.Time, elapsed time.Duration, samples []Sample) {
	fast, long := weight(elapsed, quick), weight(elapsed, slow)
	seconds := elapsed.Seconds()
	buckets := make([]float64, len(c.buckets))
	for _, s := range c.senders {
		s.found = 0
	}
	for i := range c.shards {
		s, sample := &c.shards[i], samples[i]
		received := float64(sample.Received-s.last.Received) / seconds
		lost := float64(sample.Dropped-s.last.Dropped) / seconds
		waited := (sample.Waited - s.last.Waited).Seconds() / seconds
		held := (sample.Held - s.last.Held).Seconds() / seconds
		s.handled += fast * (received - s.handled)
		s.arrived += fast * (received + lost - s.arrived)
		s.shown += long * (received + lost - s.shown)
		s.lost += fast * (lost - s.lost)
		s.waited += fast * (waited - s.waited)
		s.held += fast * (held - s.held)
		s.part, s.crowded = lost/max(received+lost, 1), waited > much
		s.drops = push(s.drops, lost > 0)
		s.losses = push(s.losses, s.part > few)
		s.filled = push(s.filled, 2*sample.Queued >= sample.Buffer && sample.Buffer > 0)
		if s.drops&1 != 0 || s.filled&1 != 0 {
			s.pressed = now
		}
		s.away = sample.Away
		if sample.Sketch != nil {
			c.count(i, sample.Sketch, s.arrived/max(s.handled, 1)/seconds, buckets)
		}
		s.begin(sample)
	}
	for b := range buckets {
		c.buckets[b] += fast * (buckets[b] - c.buckets[b])
	}
	total := c.total(func(s *shardState) float64 { return s.shown })
	for hash, s := range c.senders {
		s.rate += fast * (s.found - s.rate)
		s.shown += long * (s.found - s.shown)
		if s.found > 0 {
			s.seen = now
		}
		if !s.sprayed && s.shown < total/1000 && now.Sub(s.seen) > slow {
			delete(c.senders, hash)
		}
	}
}

// push adds a tick to those that are remembered.
func push(ticks uint8, now bool) uint8 {
	ticks <<= 1
	if now {
		ticks |= 1
	}
	return ticks
}

// weight is that of a new value in an average over a time.
func weight(elapsed, over time.Duration) float64 {
	return 1 - math.Exp(-elapsed.Seconds()/over.Seconds())
}

// count takes a shard's sketch over. scale makes datagrams a second of its
// weights.
func (c *Controller) count(shard int, sketch *Sketch, scale float64, buckets []float64) {
	for b, weight := range sketch.Buckets {
		buckets[b] += float64(weight) * scale
	}
	for _, f := range sketch.Heaviest(nil, len(sketch.sets)*sketchWays) {
		c.observePlacement(shard, f.Source)
		s := c.senders[f.Hash]
		if s == nil {
			if len(c.senders) >= mostSenders {
				continue
			}
			s = &sender{source: f.Source, hash: f.Hash}
			c.senders[f.Hash] = s
		}
		rate := float64(f.Least()) * scale
		s.found += rate
		if s.sprayed { // its datagrams go nowhere else when its bucket is moved
			b := c.plan.Bucket(f.Hash)
			buckets[b] = max(0, buckets[b]-rate)
		} else {
			s.shard = shard
		}
	}
}

// mostSenders bounds what is remembered, beyond all that can have one part in
// a hundred.
const mostSenders = 256

// sender is a flow with many datagrams.
type sender struct {
	source  netip.AddrPort
	hash    uint32
	shard   int     // the one that has it, or had before it was sprayed
	rate    float64 // datagrams a second
	shown   float64 // the same, over a longer time
	found   float64 // at this tick
	seen    time.Time
	heavy   int // ticks for which it was too much
	sprayed bool
	since   time.Time // when it was sprayed
	until   time.Time // when one shard is tried again at the latest; zero: not before it is small
	bears   float64   // what its shard handled then, datagrams a second
	small   time.Time // since when it has been; zero: it is not
	tries   int       // how often one shard was not enough
}

// total adds something up over all shards.
func (c *Controller) total(of func(*shardState) float64) (sum float64) {
	for i := range c.shards {
		sum += of(&c.shards[i])
	}
	return sum
}

func arrived(s *shardState) float64 { return s.arrived }
