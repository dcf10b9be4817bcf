package steer

import (
	"fmt"
	"time"
)

// A shard that stalls again within relapseTime after it was restored is avoided for longer each
// time: its flows would change shards as often.
const (
	relapseTime  = 30 * time.Second
	minAvoidTime = time.Second
	maxAvoidTime = time.Minute
)

// updateStalls avoids stalled shards, and restores shards that read again.
func (b *Balancer) updateStalls(now time.Time) {
	for i := range b.shards {
		s := &b.shards[i]
		stallFor := now.Sub(s.stalledAt)
		switch stalls := b.stalls(s); {
		case stalls && !s.stalled:
			s.stalled, s.stalledAt, stallFor = true, now, 0
			b.recordStall(now, i, Stalling, fmt.Sprintf("no read for %s, %d bytes queued%s", roundStall(s.sinceHeartbeat), s.last.Queued, s.cause()))
		case stalls && !s.avoided && b.canAvoid(i): // no shard could take over when the stall began
			b.recordStall(now, i, "", fmt.Sprintf("no read for %s, and other shards read now", roundStall(s.sinceHeartbeat)))
		case s.stalled && !stalls && (b.limits.StallAfter == 0 || s.sinceHeartbeat < stallFor):
			s.stalled = false
			if !s.avoided {
				b.record(Resuming, Change{Shard: i, Reason: fmt.Sprintf("stalled for %s", roundStall(stallFor))})
			}
		}
		short := 4*s.last.Queued <= s.last.Buffer
		if s.avoided && !s.stalled && (b.limits.StallAfter == 0 || short && stallFor > s.avoidFor) {
			s.avoided, s.restoredAt = false, now
			s.forgetTicks()
			b.updateAvoided()
			b.record(Restoring, Change{Shard: i, Reason: fmt.Sprintf("reads again after %s", roundStall(stallFor))})
		}
	}
}

func roundStall(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// recordStall avoids a shard and records that, or records a change of kind otherwise.
func (b *Balancer) recordStall(now time.Time, shard int, otherwise Kind, reason string) {
	s := &b.shards[shard]
	if !b.canAvoid(shard) {
		b.record(otherwise, Change{Shard: shard, Reason: reason})
		return
	}
	if s.restoredAt.IsZero() || now.Sub(s.restoredAt) > relapseTime {
		s.avoidFor = 0
	} else {
		s.avoidFor = min(max(2*s.avoidFor, minAvoidTime), maxAvoidTime)
	}
	s.avoided = true
	b.updateAvoided()
	b.record(Avoiding, Change{Shard: shard, Reason: reason})
}

// stalls reports whether a shard has been away from a queue with datagrams for too long.
func (b *Balancer) stalls(s *shardState) bool {
	return b.limits.StallAfter > 0 && s.sinceHeartbeat > b.limits.StallAfter && s.last.Queued > 0
}

// canAvoid reports whether the datagrams of a shard can go to other shards: not if the kernel's
// hash chooses, nor if all shards wait for the same output, nor if no other shard reads.
func (b *Balancer) canAvoid(shard int) bool {
	if b.plan.Mode == Hash || b.waitsForSharedOutput(&b.shards[shard]) {
		return false
	}
	for i := range b.shards {
		other := &b.shards[i]
		reads := other.sinceHeartbeat < b.limits.StallAfter/2 || other.last.Queued == 0
		if i != shard && !other.stalled && !other.avoided && reads {
			return true
		}
	}
	return false
}

func (b *Balancer) updateAvoided() {
	b.plan.Avoid = b.shardsWhere(func(s *shardState) bool { return s.avoided })
}

// Stalled returns the shards that have been away from a queue with datagrams for too long, avoided
// or not.
func (b *Balancer) Stalled() []int {
	return b.shardsWhere(func(s *shardState) bool { return s.stalled })
}

func (b *Balancer) shardsWhere(holds func(*shardState) bool) []int {
	var shards []int
	for i := range b.shards {
		if holds(&b.shards[i]) {
			shards = append(shards, i)
		}
	}
	return shards
}

// cause returns the cause of a shard's problem, as an addition to a text; "" if the cause is not
// known.
func (s *shardState) cause() string {
	switch {
	case s.outputWait > significant:
		return "; the output accepts no records"
	case s.runDelay > significant:
		return fmt.Sprintf("; other threads had the CPU for %.0f%% of the time", 100*min(s.runDelay, 1))
	}
	return ""
}
