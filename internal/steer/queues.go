package steer

import (
	"math/bits"
	"time"
)

// A shard is overloaded if its queue stays full: fullness in a tick or two can be a burst.
const (
	recentTicks  = 0b11111 // the last five ticks
	minLossTicks = 2       // of these, with a lossRatio above minLossRatio
	minFullTicks = 3       // of these, with a queue at least half full
	minDropTicks = 6       // of the last eight ticks, with any drop
	minLossRatio = 0.005
)

// significant is the share of the time in a wait from which the wait is the cause of a shard's
// problem.
const significant = 0.2

// updateQueues moves buckets away from overloaded shards, and home again after the shard was quiet.
func (b *Balancer) updateQueues(now time.Time) {
	for i := range b.shards {
		s := &b.shards[i]
		if !s.evaluateAt.IsZero() && now.After(s.evaluateAt) {
			b.evaluateMove(now, i)
		}
		switch {
		case s.avoided, s.sinceHeartbeat > 2*Tick: // updateStalls decides
		case s.overloaded() && now.Sub(s.movedAt) > settleTime && now.After(s.nextMove):
			b.rebalance(now, i)
		case b.isQuiet(now, s):
			b.restoreHome(now, i)
		}
	}
}

// overloaded reports whether the shard's queue stays full. One tick is enough if another thread
// has the CPU, a cause that does not pass with a burst.
func (s *shardState) overloaded() bool {
	now := s.lossTicks&1 != 0 || s.fullTicks&1 != 0
	return now && s.preempted || bits.OnesCount8(s.lossTicks&recentTicks) >= minLossTicks ||
		bits.OnesCount8(s.fullTicks&recentTicks) >= minFullTicks || bits.OnesCount8(s.dropTicks) >= minDropTicks
}

// overloadLasts reports whether the queue was full at nearly all of the last eight ticks.
func (s *shardState) overloadLasts() bool {
	return bits.OnesCount8(s.dropTicks|s.fullTicks) >= minDropTicks
}

func (s *shardState) forgetTicks() { s.dropTicks, s.lossTicks, s.fullTicks = 0, 0, 0 }

// isQuiet reports whether buckets may return to a shard.
func (b *Balancer) isQuiet(now time.Time, s *shardState) bool {
	return now.Sub(s.pressedAt) > max(s.quietPeriod, minQuietPeriod) && now.Sub(s.returnedAt) > returnInterval &&
		s.runDelay < significant/2 && !b.waitsForSharedOutput(s)
}

// waitsForSharedOutput reports whether a shard waits for an output that is also the output of all
// other shards.
func (b *Balancer) waitsForSharedOutput(s *shardState) bool {
	return b.limits.OneOutput && s.outputWait > significant
}
