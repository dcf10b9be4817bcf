package steer

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
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
		case s.stalled:
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

// relieve moves a part of what shard from has to others, or sprays what alone
// is too much for it.
func (c *Controller) relieve(now time.Time, from int) {
	s := &c.shards[from]
	if c.limits.OneOutput && s.held > much {
		return
	}
	targets := c.targets(now, from)
	if len(targets) == 0 {
		return
	}
	excess := s.excess()
	s.bears, s.relieved = s.handled, now
	s.drops, s.losses, s.filled = 0, 0, 0 // what has happened is dealt with
	if now.Sub(s.returned) < 2*calm {
		s.patience = min(2*max(s.patience, calm), longPatience)
	} else if s.patience == 0 || now.Sub(s.returned) > s.patience+longPatience {
		s.patience = calm
	}
	s.bearsTill = now.Add(s.patience)
	if heavy := c.heaviestOf(from); heavy != nil && heavy.rate > alone*s.handled && s.waited < much {
		c.spray(now, heavy, alone*s.handled, fmt.Sprintf("it alone sends %s a second, and its shard handles %s", count(heavy.rate), count(s.handled)))
		return
	}
	load := s.arrived * excess
	if moved := c.move(now, from, targets, load); moved > 0 {
		if s.judge.IsZero() {
			s.bet = 0
		}
		s.bet = max(s.bet, s.lost, s.part*s.arrived, load/stake)
		s.judge = now.Add(trial)
		c.change(Moving, Change{Shard: from, Buckets: moved, Reason: fmt.Sprintf("its queue stays filled at %s a second%s", count(s.arrived), s.suspicion())})
	}
}

// judgeMove takes moves back that were no cure: if those who got the buckets
// lose more than was lost before, and more than a part of what they got.
func (c *Controller) judgeMove(now time.Time, from int) {
	s := &c.shards[from]
	s.judge = time.Time{}
	var away []int
	losers := make(map[int]float64)
	for b, to := range c.plan.Moved {
		if c.plan.Home(b) == from {
			away = append(away, b)
			losers[to] = c.shards[to].lost
		}
	}
	var lost float64
	for _, l := range losers {
		lost += l
	}
	if lost <= max(s.bet, s.lost) {
		s.setback = 0
		return
	}
	for _, b := range away {
		delete(c.plan.Moved, b)
	}
	s.setback = min(max(2*s.setback, 2*trial), longPatience)
	s.returned, s.rests = now, now.Add(s.setback)
	c.change(Returning, Change{Shard: from, Buckets: len(away), Reason: fmt.Sprintf("those who got them lost %s a second", count(lost))})
}

// targets returns the shards that can take buckets of another.
func (c *Controller) targets(now time.Time, from int) []int {
	var targets []int
	for i := range c.shards {
		t := &c.shards[i]
		busy := now.Sub(t.pressed) < quietly || t.waited > much && t.waited > c.shards[from].waited/2 || c.limits.OneOutput && t.held > much
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
func (c *Controller) move(now time.Time, from int, targets []int, rate float64) (moved int) {
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
	if unknown > c.shards[from].arrived/2 {
		for i := range mine {
			mine[i].rate += unknown / float64(len(mine))
		}
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
		if b.rate > rate && moved > 0 || b.rate <= 0 {
			continue
		}
		to := slices.MinFunc(targets, func(a, b int) int { return cmp.Compare(load[a], load[b]) })
		if t := &c.shards[to]; t.bears > 0 && now.Before(t.bearsTill) && load[to]+b.rate > spare*t.bears {
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
