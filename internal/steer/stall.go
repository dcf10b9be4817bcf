package steer

import (
	"fmt"
	"time"
)

// A shard that stalls again soon after it was taken back stays away for
// longer each time: its flows would change places as often.
const (
	soon         = 30 * time.Second
	firstAbsence = time.Second
	longAbsence  = time.Minute
)

// judgeStalls keeps datagrams away from shards that have not come back to
// queues with something in them, and takes those back that have.
func (c *Controller) judgeStalls(now time.Time) {
	for i := range c.shards {
		s := &c.shards[i]
		switch stuck := c.isStuck(s); {
		case stuck && !s.stalled:
			s.stalled, s.stalledAt = true, now
			c.tellStall(now, i, Stalling, Avoiding, fmt.Sprintf("it has not read for %s and its queue holds %d bytes%s",
				s.away.Round(10*time.Millisecond), s.last.Queued, s.suspicion()))
		case stuck && !s.avoided && c.helps(i): // which it did not when it stalled
			c.tellStall(now, i, "", Avoiding, fmt.Sprintf("it has not read for %s, and others read now", s.away.Round(10*time.Millisecond)))
		case s.stalled && !stuck && (c.limits.StallAfter == 0 || s.away < now.Sub(s.stalledAt)):
			s.stalled = false
			if !s.avoided {
				c.change(Resuming, Change{Shard: i, Reason: fmt.Sprintf("it was away for %s", now.Sub(s.stalledAt).Round(10*time.Millisecond))})
			}
		}
		if s.avoided && !s.stalled && (c.limits.StallAfter == 0 || 4*s.last.Queued <= s.last.Buffer && now.Sub(s.stalledAt) > s.absence) {
			s.avoided, s.restored = false, now
			s.drops, s.losses, s.filled = 0, 0, 0 // that was then
			c.avoid()
			c.change(Restoring, Change{Shard: i, Reason: fmt.Sprintf("it reads again, after %s", now.Sub(s.stalledAt).Round(10*time.Millisecond))})
		}
	}
}

// tellStall steers around a shard, if that helps, and tells so or tells that
// it is stuck.
func (c *Controller) tellStall(now time.Time, shard int, plain, around Kind, why string) {
	s := &c.shards[shard]
	if !c.helps(shard) {
		c.change(plain, Change{Shard: shard, Reason: why})
		return
	}
	if s.restored.IsZero() || now.Sub(s.restored) > soon {
		s.absence = 0
	} else {
		s.absence = min(max(2*s.absence, firstAbsence), longAbsence)
	}
	s.avoided = true
	c.avoid()
	c.change(around, Change{Shard: shard, Reason: why})
}

func (c *Controller) isStuck(s *shardState) bool {
	return c.limits.StallAfter > 0 && s.away > c.limits.StallAfter && s.last.Queued > 0
}

// helps says whether it helps to go from a shard to others: not if the kernel
// decides that, nor if they are as slow, nor if they wait for the same output.
func (c *Controller) helps(shard int) bool {
	if c.plan.Mode == Hash || c.limits.OneOutput && c.shards[shard].held > much {
		return false
	}
	for i := range c.shards {
		if other := &c.shards[i]; i != shard && !other.stalled && !other.avoided && (other.away < c.limits.StallAfter/2 || other.last.Queued == 0) {
			return true
		}
	}
	return false
}

// much is the part of its time that a shard may wait for a CPU, or for its
// output, before that is the reason of its troubles.
const much = 0.2

// suspicion is the reason of a shard's troubles, if it can be seen.
func (s *shardState) suspicion() string {
	switch {
	case s.held > much:
		return "; its output takes nothing"
	case s.waited > much:
		return fmt.Sprintf("; its CPU was another thread's for %.0f%% of the time", 100*min(s.waited, 1))
	}
	return ""
}

func (c *Controller) avoid() { c.plan.Avoid = c.which(func(s *shardState) bool { return s.avoided }) }

// Stalled returns the shards that are stuck: away for too long from queues
// with something in them, whether others can help or not.
func (c *Controller) Stalled() []int { return c.which(func(s *shardState) bool { return s.stalled }) }

func (c *Controller) which(of func(*shardState) bool) []int {
	var shards []int
	for i := range c.shards {
		if of(&c.shards[i]) {
			shards = append(shards, i)
		}
	}
	return shards
}
