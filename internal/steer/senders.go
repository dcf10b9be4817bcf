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
	// leastSprayed is how many datagrams a second a sender must send for its
	// shard not to bear it: a shard that handles fewer has another trouble.
	leastSprayed = 1000
	// unfair is how many times the fair part of a shard one sender must send
	// before it is sprayed: below, its shard's other flows can make way.
	unfair = 1.5
	// heavyTicks is for how long.
	heavyTicks = 4
	// One shard is tried again for a sender that was more than it handled, at
	// first after a minute, and after twice as long each time.
	firstTry = time.Minute
	lastTry  = time.Hour
	// calm is for how long a cause must be gone before its effect is undone.
	calm = 5 * time.Second
)

// judgeSenders sprays senders that are more than one shard should bear, and
// gathers those on one shard again that no longer are.
func (c *Controller) judgeSenders(now time.Time) {
	fair := c.total(arrived) / float64(len(c.plan.usable()))
	bound := max(float64(c.limits.SprayAbove), unfair*fair)
	for _, s := range c.sorted() {
		switch {
		case s.sprayed:
			c.judgeSprayed(now, s)
		case c.limits.SprayAbove > 0 && s.rate > bound:
			if s.heavy++; s.heavy >= heavyTicks {
				c.spray(now, s, time.Time{}, fmt.Sprintf("it sends %s a second, %.0f%% of all", count(s.rate), c.percent(s.rate)))
			}
		default:
			s.heavy = 0
		}
	}
}

// spray spreads a sender over all shards, until a time or until it is small.
// It reports whether it could.
func (c *Controller) spray(now time.Time, s *sender, until time.Time, why string) bool {
	if len(c.plan.Sprayed) == maxSprayed {
		return false
	}
	s.sprayed, s.since, s.until, s.small, s.heavy = true, now, until, time.Time{}, 0
	c.plan.Sprayed = append(c.plan.Sprayed, s.hash)
	b := c.plan.Bucket(s.hash)
	c.buckets[b] = max(0, c.buckets[b]-s.rate)
	c.change(Spraying, Change{Shard: s.shard, Sender: s.source, Reason: why})
	return true
}

// sprayAlone spreads a sender that is more than its shard has been able to
// handle for a while. For how long one shard is enough after all, only trying
// tells: it is tried less and less often.
func (c *Controller) sprayAlone(now time.Time, s *sender, handled float64) bool {
	again := min(firstTry<<min(s.tries, 6), lastTry)
	s.tries++
	s.bears = handled
	return c.spray(now, s, now.Add(again), fmt.Sprintf("it alone sends %s a second, and its shard handles %s", count(s.rate), count(handled)))
}

func (c *Controller) judgeSprayed(now time.Time, s *sender) {
	small := c.limits.SprayAbove == 0 || s.rate < float64(c.limits.SprayAbove)/2
	if !s.until.IsZero() {
		small = s.rate < s.bears/2
	}
	due := !s.until.IsZero() && now.After(s.until)
	switch {
	case !small && !due:
		s.small = time.Time{}
	case s.small.IsZero() && !due:
		s.small = now
	case due || now.Sub(s.small) > calm:
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
