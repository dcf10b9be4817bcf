package steer

import (
	"fmt"
	"slices"
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
		switch {
		case !s.stalled && c.isStuck(s) && c.helps(i):
			s.stalled, s.stalledAt = true, now
			if s.restored.IsZero() || now.Sub(s.restored) > soon {
				s.absence = 0
			} else {
				s.absence = min(max(2*s.absence, firstAbsence), longAbsence)
			}
			c.avoid()
			c.change(Avoiding, Change{Shard: i, Reason: fmt.Sprintf("it has not read for %s and its queue holds %d bytes%s",
				s.away.Round(10*time.Millisecond), s.last.Queued, s.suspicion())})
		case s.stalled && s.away < c.limits.StallAfter && 4*s.last.Queued <= s.last.Buffer && now.Sub(s.stalledAt) > s.absence:
			s.stalled, s.restored = false, now
			c.avoid()
			c.change(Restoring, Change{Shard: i, Reason: fmt.Sprintf("it reads again, after %s", now.Sub(s.stalledAt).Round(10*time.Millisecond))})
		}
	}
}

func (c *Controller) isStuck(s *shardState) bool {
	return c.limits.StallAfter > 0 && s.away > c.limits.StallAfter && s.last.Queued > 0
}

// helps says whether it helps to go from a shard to others: not if they are
// as slow, nor if they wait for the same output.
func (c *Controller) helps(shard int) bool {
	if c.limits.OneOutput && c.shards[shard].held > much {
		return false
	}
	for i := range c.shards {
		if other := &c.shards[i]; i != shard && !other.stalled && (other.away < c.limits.StallAfter/2 || other.last.Queued == 0) {
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

func (c *Controller) avoid() {
	c.plan.Avoid = nil
	for i := range c.shards {
		if c.shards[i].stalled {
			c.plan.Avoid = append(c.plan.Avoid, i)
		}
	}
}

// Stalled returns the shards that are stuck: away for too long from queues
// with something in them, whether others can help or not.
func (c *Controller) Stalled() []int {
	var stalled []int
	for i := range c.shards {
		if s := &c.shards[i]; s.stalled || c.isStuck(s) {
			stalled = append(stalled, i)
		}
	}
	return slices.Clip(stalled)
}
