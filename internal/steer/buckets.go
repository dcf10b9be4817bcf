package steer

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// move takes buckets with so many datagrams a second away from a shard, the
// fullest first, so that few flows change places. It returns how many.
func (c *Controller) move(now time.Time, from int, targets []int, rate float64) (moved int) {
	type bucket struct {
		number int
		rate   float64
	}
	var mine []bucket
	var known float64
	for b := range c.buckets {
		if c.at(b) == from {
			mine = append(mine, bucket{b, c.buckets[b]})
			known += c.buckets[b]
		}
	}
	for i := range mine { // sketches are late, and of what was received: what they don't tell of is spread alike
		if known > 0 {
			mine[i].rate *= c.shards[from].arrived / known
		} else {
			mine[i].rate = c.shards[from].arrived / float64(len(mine))
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
