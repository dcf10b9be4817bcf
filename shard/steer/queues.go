package steer

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
	"time"
)

const (
	// A shard's queue stays filled if it dropped at this many of the last
	// five ticks, or was half full at so many. Once is enough where the cause
	// is known, since it will not pass by itself: another thread has its CPU.
	recentTicks = 0b11111
	lossyTicks  = 2
	filledTicks = 3
	// pause is how long a move is given to take effect.
	pause = 2 * Tick
	// spare is the part of what a shard is known to bear that it is given.
	spare = 0.8
	// alone is the part of what a shard bears at which a flow can't be helped
	// by moving others.
	alone = 0.7
	// Buckets go home bit by bit, and no sooner than after a while, which
	// doubles each time that the cause was not gone after all.
	returnEvery  = time.Second
	longPatience = 5 * time.Minute
)

// judgeQueues moves buckets away from shards whose queues stay filled, to
// those whose do not, and home again when these have been at ease for long.
func (c *Controller) judgeQueues(now time.Time) {
	for i := range c.shards {
		switch s := &c.shards[i]; {
		case s.stalled:
		case s.overrun() && now.Sub(s.relieved) > pause:
			c.relieve(now, i)
		case c.atEase(now, s):
			c.giveBack(now, i)
		}
	}
}

func (s *shardState) overrun() bool {
	return s.crowded || bits.OnesCount8(s.losses&recentTicks) >= lossyTicks || bits.OnesCount8(s.filled&recentTicks) >= filledTicks
}

// relieve moves half of what shard from has to others, or what alone is too
// much for it.
func (c *Controller) relieve(now time.Time, from int) {
	s := &c.shards[from]
	if c.limits.OneOutput && s.held > much {
		return
	}
	targets := c.targets(now, from)
	if len(targets) == 0 {
		return
	}
	s.bears, s.relieved = s.handled, now
	s.losses, s.filled = 0, 0 // what has happened is dealt with
	if now.Sub(s.returned) < 2*calm {
		s.patience = min(2*max(s.patience, calm), longPatience)
	} else if s.patience == 0 || now.Sub(s.returned) > s.patience+longPatience {
		s.patience = calm
	}
	s.bearsTill = now.Add(s.patience)
	why := fmt.Sprintf("its queue stays filled at %s a second%s", count(s.arrived), s.suspicion())
	if heavy := c.heaviestOf(from); heavy != nil && heavy.rate > alone*s.handled && s.waited < much {
		c.spray(now, heavy, alone*s.handled, fmt.Sprintf("it alone sends %s a second, and its shard handles %s", count(heavy.rate), count(s.handled)))
		return
	}
	if moved := c.move(from, targets, s.arrived/2); moved > 0 {
		c.change(Moving, Change{Shard: from, Buckets: moved, Reason: why})
	}
}

// targets returns the shards that can take buckets of another.
func (c *Controller) targets(now time.Time, from int) []int {
	var targets []int
	for i := range c.shards {
		t := &c.shards[i]
		busy := t.filled&recentTicks != 0 || t.waited > much && t.waited > c.shards[from].waited/2 || c.limits.OneOutput && t.held > much
		if i != from && !t.stalled && !busy {
			targets = append(targets, i)
		}
	}
	return targets
}

// heaviestOf returns the sender that has most of a shard, if it is not sprayed.
func (c *Controller) heaviestOf(shard int) *sender {
	var most *sender
	for _, s := range c.senders {
		if s.shard == shard && !s.sprayed && (most == nil || s.rate > most.rate) {
			most = s
		}
	}
	return most
}

// move takes buckets with so many datagrams a second away from a shard, the
// fullest first, so that few flows change places. It returns how many.
func (c *Controller) move(from int, targets []int, rate float64) (moved int) {
	type bucket struct {
		number int
		rate   float64
	}
	var mine []bucket
	unknown := c.shards[from].arrived // what the sketches do not tell of: they are of what was received
	for b := range c.buckets {
		if c.at(b) == from {
			mine = append(mine, bucket{b, c.buckets[b]})
			unknown -= c.buckets[b]
		}
	}
	for i := range mine {
		mine[i].rate += max(unknown, 1) / float64(len(mine))
	}
	slices.SortFunc(mine, func(a, b bucket) int { return cmp.Or(cmp.Compare(b.rate, a.rate), a.number-b.number) })
	load := make(map[int]float64)
	for _, t := range targets {
		load[t] = c.shards[t].arrived
	}
	enough := rate / 20
	for _, b := range mine {
		if rate <= enough {
			break
		}
		if b.rate > rate && moved > 0 {
			continue
		}
		to := slices.MinFunc(targets, func(a, b int) int { return cmp.Compare(load[a], load[b]) })
		if t := &c.shards[to]; t.bears > 0 && c.last.Before(t.bearsTill) && load[to]+b.rate > spare*t.bears {
			continue
		}
		if !c.put(b.number, to) {
			break
		}
		load[to] += b.rate
		rate -= b.rate
		moved++
	}
	return moved
}

// at returns the shard that has a bucket.
func (c *Controller) at(bucket int) int {
	if to, moved := c.plan.Moved[bucket]; moved {
		return to
	}
	return c.plan.Home(bucket)
}

// put gives a bucket to a shard, if the plan has room for that.
func (c *Controller) put(bucket, shard int) bool {
	if shard == c.plan.Home(bucket) {
		delete(c.plan.Moved, bucket)
		return true
	}
	if _, moved := c.plan.Moved[bucket]; !moved && len(c.plan.Moved) == maxMoved {
		return false
	}
	c.plan.Moved[bucket] = shard
	return true
}

func (c *Controller) atEase(now time.Time, s *shardState) bool {
	return now.Sub(s.pressed) > max(s.patience, calm) && now.Sub(s.returned) > returnEvery && s.waited < much/2 && !(c.limits.OneOutput && s.held > much)
}

// giveBack returns a quarter of the buckets that were moved away from home.
func (c *Controller) giveBack(now time.Time, home int) {
	s := &c.shards[home]
	var away []int
	for b := range c.plan.Moved {
		if c.plan.Home(b) == home {
			away = append(away, b)
		}
	}
	if len(away) == 0 {
		return
	}
	slices.Sort(away)
	away = away[:max(1, len(away)/4)]
	for _, b := range away {
		delete(c.plan.Moved, b)
	}
	s.returned = now
	c.change(Returning, Change{Shard: home, Buckets: len(away),
		Reason: fmt.Sprintf("its queue has been at ease for %s", now.Sub(s.pressed).Round(time.Second))})
}

// Moved returns how many buckets are not at home.
func (c *Controller) Moved() int { return len(c.plan.Moved) }
