package steer

import (
	"fmt"
	"time"
)

const (
	// settleTime is the time between moves of a shard's buckets, for the move to take effect.
	settleTime = 2 * Tick
	// evaluateAfter is the time from a move to its evaluation.
	evaluateAfter = time.Second
	// targetQuietPeriod is for how long a shard must have been quiet before it gets buckets of
	// another shard. If that shard drops more than muchLoss, a target may also drop farLess times
	// fewer datagrams than the shard.
	targetQuietPeriod = 2 * time.Second
	muchLoss          = 0.1
	farLess           = 8
	// A move takes as much of a shard's load as seems too much, within these bounds.
	minMoveShare = 0.125
	maxMoveShare = 0.5
	// dominantShare is the share of a shard's capacity from which a sender is too much for the
	// shard: moving other flows does not help.
	dominantShare = 0.7
	// maxLossRatio is the share of a moved load that other shards may drop for the move to stay.
	maxLossRatio = 0.1
	// maxQuietPeriod bounds quietPeriod and moveDelay.
	maxQuietPeriod = 5 * time.Minute
)

// rebalance moves a part of a shard's load to other shards, or sprays the sender that dominates the
// shard.
func (b *Balancer) rebalance(now time.Time, from int) {
	s := &b.shards[from]
	if b.waitsForSharedOutput(s) {
		return
	}
	targets := b.moveTargets(now, from)
	if len(targets) == 0 {
		return
	}
	heaviest := b.heaviestSender(from)
	dominated := heaviest != nil && heaviest.rate > max(dominantShare*s.handled, minSprayRate) &&
		s.runDelay < significant && s.outputWait < significant
	if dominated && !s.overloadLasts() {
		return // may pass, and a move of other flows does not help
	}
	share := s.excessShare()
	s.capacity, s.movedAt = s.handled, now
	s.forgetTicks()
	s.extendQuietPeriod(now)
	if dominated && b.sprayDominant(now, heaviest, s.handled) {
		return
	}
	load := s.arrived * share
	if moved := b.moveBuckets(now, from, targets, load); moved > 0 {
		if s.evaluateAt.IsZero() {
			s.allowedLoss = 0
		}
		s.allowedLoss = max(s.allowedLoss, s.lost, s.lossRatio*s.arrived, load*maxLossRatio)
		s.evaluateAt = now.Add(evaluateAfter)
		b.record(Moving, Change{Shard: from, Buckets: moved, Reason: fmt.Sprintf("queue stays full at %s a second%s", formatRate(s.arrived), s.cause())})
	}
}

// excessShare estimates the share of a shard's load that is above its capacity.
func (s *shardState) excessShare() float64 {
	share := 2 * max(s.lossRatio, s.lost/max(s.arrived, 1))
	if s.fullTicks&1 != 0 {
		share = max(share, maxMoveShare/2)
	}
	if s.preempted {
		share = max(share, s.runDelay*maxMoveShare)
	}
	return min(max(share, minMoveShare), maxMoveShare)
}

// extendQuietPeriod sets how long a shard must be quiet before buckets return: twice as long as
// before, if the last return was a short time ago.
func (s *shardState) extendQuietPeriod(now time.Time) {
	switch since := now.Sub(s.returnedAt); {
	case since < 2*minQuietPeriod:
		s.quietPeriod = min(2*max(s.quietPeriod, minQuietPeriod), maxQuietPeriod)
	case s.quietPeriod == 0 || since > s.quietPeriod+maxQuietPeriod:
		s.quietPeriod = minQuietPeriod
	}
	s.capacityUntil = now.Add(s.quietPeriod)
}

// moveTargets returns the shards that can get buckets of a shard: quiet shards, and where the shard
// loses much also shards that lose far less.
func (b *Balancer) moveTargets(now time.Time, from int) []int {
	var targets []int
	s := &b.shards[from]
	losesMuch := s.lost > muchLoss*s.arrived
	for i := range b.shards {
		t := &b.shards[i]
		quiet := now.Sub(t.pressedAt) >= targetQuietPeriod || losesMuch && t.fullTicks&1 == 0 && t.lost < s.lost/farLess
		busy := t.runDelay > significant && t.runDelay > s.runDelay/2 || b.waitsForSharedOutput(t)
		if i != from && !t.avoided && !t.stalled && quiet && !busy {
			targets = append(targets, i)
		}
	}
	return targets
}

// evaluateMove undoes the moves of a shard's buckets if the shards that got the buckets drop more
// than allowedLoss. The next move is delayed then.
func (b *Balancer) evaluateMove(now time.Time, from int) {
	s := &b.shards[from]
	s.evaluateAt = time.Time{}
	targets := make(map[int]bool)
	var lost float64
	for bucket, to := range b.plan.Moved {
		if b.plan.Home(bucket) == from && !targets[to] {
			targets[to] = true
			lost += b.shards[to].lost
		}
	}
	if lost <= max(s.allowedLoss, s.lost) {
		s.moveDelay = 0
		return
	}
	returned := b.returnBuckets(from, 1)
	s.moveDelay = min(max(2*s.moveDelay, 2*evaluateAfter), maxQuietPeriod)
	s.returnedAt, s.nextMove = now, now.Add(s.moveDelay)
	b.record(Returning, Change{Shard: from, Buckets: returned, Reason: fmt.Sprintf("the other shards lost %s a second", formatRate(lost))})
}
