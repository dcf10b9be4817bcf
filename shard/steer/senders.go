package steer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// unfair is how many times the fair part of a shard one sender must send
	// before it is sprayed: below, its shard's other flows can make way.
	unfair = 1.5
	// heavyTicks is for how long.
	heavyTicks = 4
	// calm is for how long a cause must be gone before its effect is undone.
	calm = 5 * time.Second
)

// judgeSenders sprays senders that are more than one shard should bear, and
// gathers those on one shard again that have become small.
func (c *Controller) judgeSenders(now time.Time) {
	fair := c.total(arrived) / float64(len(c.plan.usable()))
	for _, s := range c.sorted() {
		bound := max(float64(c.limits.SprayAbove), unfair*fair)
		switch {
		case s.sprayed:
			c.judgeSprayed(now, s)
		case c.limits.SprayAbove > 0 && s.rate > bound:
			if s.heavy++; s.heavy >= heavyTicks {
				c.spray(now, s, float64(c.limits.SprayAbove), fmt.Sprintf("it sends %s a second, %.0f%% of all", count(s.rate), c.percent(s.rate)))
			}
		default:
			s.heavy = 0
		}
	}
}

// spray spreads a sender over all shards.
func (c *Controller) spray(now time.Time, s *sender, bound float64, why string) {
	if len(c.plan.Sprayed) == maxSprayed {
		return
	}
	s.sprayed, s.since, s.bound, s.small, s.heavy = true, now, bound, time.Time{}, 0
	c.plan.Sprayed = append(c.plan.Sprayed, s.hash)
	b := c.plan.Bucket(s.hash)
	c.buckets[b] = max(0, c.buckets[b]-s.rate)
	c.change(Spraying, Change{Shard: s.shard, Sender: s.source, Reason: why})
}

func (c *Controller) judgeSprayed(now time.Time, s *sender) {
	switch {
	case s.rate > s.bound/2:
		s.small = time.Time{}
	case s.small.IsZero():
		s.small = now
	case now.Sub(s.small) > calm:
		s.sprayed = false
		c.plan.Sprayed = slices.DeleteFunc(c.plan.Sprayed, func(hash uint32) bool { return hash == s.hash })
		s.shard, _ = c.plan.Shard(s.source)
		c.change(Unspraying, Change{Shard: s.shard, Sender: s.source, Reason: fmt.Sprintf("it sends %s a second now", count(s.shown))})
	}
}

// sorted returns the senders, the heaviest first.
func (c *Controller) sorted() []*sender {
	return slices.SortedFunc(maps.Values(c.senders), func(a, b *sender) int {
		return cmp.Or(cmp.Compare(b.shown, a.shown), a.source.Compare(b.source))
	})
}

func (c *Controller) percent(rate float64) float64 {
	return min(100, 100*rate/max(c.total(arrived), 1))
}

// count writes a rate for people: two digits are all that a sample tells.
func count(rate float64) string {
	if rate >= 10_000 {
		return fmt.Sprintf("%.0f,000", rate/1000)
	}
	return fmt.Sprintf("%.0f", rate)
}

// Rate is how much a sender sends.
type Rate struct {
	Source    netip.AddrPort
	PerSecond float64 // datagrams, over the last three seconds or so
	Part      float64 // of all, 0 to 1
	Sprayed   bool
}

// Top returns up to n senders, the heaviest first.
func (c *Controller) Top(n int) []Rate {
	all := max(c.total(func(s *shardState) float64 { return s.shown }), 1)
	var top []Rate
	for _, s := range c.sorted() {
		if len(top) < n && s.shown > 0 {
			top = append(top, Rate{s.source, s.shown, min(1, s.shown/all), s.sprayed})
		}
	}
	return top
}

// Sprayed returns the senders that are sprayed.
func (c *Controller) Sprayed() []netip.AddrPort {
	var sprayed []netip.AddrPort
	for _, s := range c.sorted() {
		if s.sprayed {
			sprayed = append(sprayed, s.source)
		}
	}
	return sprayed
}
