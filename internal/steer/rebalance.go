package steer

import (
	"fmt"
	"time"
)

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
	heavy := c.heaviestOf(from)
	dominated := heavy != nil && heavy.rate > max(alone*s.handled, leastSprayed) && s.waited < much && s.held < much
	if dominated && !s.lastingly() {
		return // it may pass; and whoever else is moved is no help
	}
	excess := s.excess()
	s.bears, s.relieved = s.handled, now
	s.drops, s.losses, s.filled = 0, 0, 0 // what has happened is dealt with
	s.bePatient(now)
	if dominated && c.sprayAlone(now, heavy, s.handled) {
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

// bePatient sets how long buckets stay away: twice as long as the last time,
// if they have just been back.
func (s *shardState) bePatient(now time.Time) {
	switch since := now.Sub(s.returned); {
	case since < 2*calm:
		s.patience = min(2*max(s.patience, calm), longPatience)
	case s.patience == 0 || since > s.patience+longPatience:
		s.patience = calm
	}
	s.bearsTill = now.Add(s.patience)
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

// targets returns the shards that can take buckets of another: those that are
// at ease, and where much is lost also those that lose far less.
func (c *Controller) targets(now time.Time, from int) []int {
	var targets []int
	s := &c.shards[from]
	losesMuch := s.lost > much*s.arrived/2
	for i := range c.shards {
		t := &c.shards[i]
		atEase := now.Sub(t.pressed) >= quietly || losesMuch && t.filled&1 == 0 && t.lost < s.lost/farLess
		busy := t.waited > much && t.waited > s.waited/2 || c.limits.OneOutput && t.held > much
		if i != from && !t.avoided && !t.stalled && atEase && !busy {
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
