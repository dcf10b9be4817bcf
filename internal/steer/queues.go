package steer

import (
	"math/bits"
	"time"
)

// When a shard's queue stays filled. What happens in a tick or two can be a
// burst; what goes on is none.
const (
	recentTicks = 0b11111 // the last five
	lossyTicks  = 2       // of these, with losses above few
	filledTicks = 3       // of these, with a queue half full
	dropTicks   = 6       // of the last eight, with any loss at all
	few         = 0.005   // a part of what was sent to it
)

const (
	// pause is how long a move is given to take effect, and trial how long
	// until it is judged.
	pause = 2 * Tick
	trial = time.Second
	// quietly is for how long a shard must have been at ease before it takes
	// another's buckets.
	quietly = 2 * time.Second
	farLess = 8
	// A move takes as much of a shard's load as it seems to have too much,
	// and no less nor more than this.
	leastPart = 0.125
	mostPart  = 0.5
	// spare is the part of what a shard is known to bear that it is given.
	spare = 0.8
	// alone is the part of what a shard bears at which a flow can't be helped
	// by moving others.
	alone = 0.7
	// Buckets go home bit by bit, and no sooner than after a while, which
	// doubles each time that the cause was not gone after all.
	returnEvery  = time.Second
	longPatience = 5 * time.Minute
	// stake is what part of the load that is moved may be lost by that: a
	// tenth.
	stake = 10
)

// judgeQueues moves buckets away from shards whose queues stay filled, to
// those whose do not, and home again when these have been at ease for long.
func (c *Controller) judgeQueues(now time.Time) {
	for i := range c.shards {
		s := &c.shards[i]
		if !s.judge.IsZero() && now.After(s.judge) {
			c.judgeMove(now, i)
		}
		switch {
		case s.avoided, s.away > 2*Tick: // whether it is stuck is judged elsewhere
		case s.overrun() && now.Sub(s.relieved) > pause && now.After(s.rests):
			c.relieve(now, i)
		case c.atEase(now, s):
			c.giveBack(now, i)
		}
	}
}

// overrun says whether a shard's queue stays filled. Once is enough where the
// cause is known, since it will not pass by itself: another thread has its CPU.
func (s *shardState) overrun() bool {
	once := s.losses&1 != 0 || s.filled&1 != 0
	return once && s.crowded || bits.OnesCount8(s.losses&recentTicks) >= lossyTicks ||
		bits.OnesCount8(s.filled&recentTicks) >= filledTicks || bits.OnesCount8(s.drops) >= dropTicks
}

// lastingly says whether it has been so at nearly all of the last eight ticks.
func (s *shardState) lastingly() bool { return bits.OnesCount8(s.drops|s.filled) >= dropTicks }

// excess is the part of its load that a shard seems to have too much.
func (s *shardState) excess() float64 {
	excess := 2 * max(s.part, s.lost/max(s.arrived, 1))
	if s.filled&1 != 0 {
		excess = max(excess, mostPart/2)
	}
	if s.crowded {
		excess = max(excess, s.waited*mostPart)
	}
	return min(max(excess, leastPart), mostPart)
}
