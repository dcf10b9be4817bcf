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
	// minSprayRate is the least rate of a sender above the capacity of its shard. A shard that
	// handles fewer datagrams a second has another cause.
	minSprayRate = 1000
	// unfairFactor: a sender is sprayed from so many times the fair share of a shard. Below, the
	// other flows of the shard can move.
	unfairFactor = 1.5
	// sprayTicks is for how many ticks in a row a sender is above the limit before it is sprayed.
	sprayTicks = 4
	// A sender above the capacity of its shard is tried on one shard again after minSprayTime,
	// and after twice as long each time, up to maxSprayTime.
	minSprayTime = time.Minute
	maxSprayTime = time.Hour
	// minQuietPeriod is for how long a cause must be gone before its effect is undone.
	minQuietPeriod = 5 * time.Second
)

// updateSenders sprays senders that are too much for one shard, and gives senders one shard again
// that no longer are.
func (b *Balancer) updateSenders(now time.Time) {
	fair := b.total() / float64(len(b.plan.usable()))
	limit := max(float64(b.limits.SprayAbove), unfairFactor*fair)
	for _, s := range b.sortedSenders() {
		switch {
		case s.sprayed:
			b.updateSprayed(now, s)
		case b.limits.SprayAbove > 0 && s.rate > limit:
			if s.heavyTicks++; s.heavyTicks >= sprayTicks {
				percent := min(100, 100*s.rate/max(b.total(), 1))
				b.spray(now, s, time.Time{}, fmt.Sprintf("sends %s a second, %.0f%% of all", formatRate(s.rate), percent))
			}
		default:
			s.heavyTicks = 0
		}
	}
}

// spray spreads a sender over all shards, until retryAt or until its rate is small. It returns
// false if the plan has no room.
func (b *Balancer) spray(now time.Time, s *sender, retryAt time.Time, reason string) bool {
	if len(b.plan.Sprayed) == maxSprayed {
		return false
	}
	s.sprayed, s.sprayedAt, s.retryAt, s.smallSince, s.heavyTicks = true, now, retryAt, time.Time{}, 0
	b.plan.Sprayed = append(b.plan.Sprayed, s.hash)
	bucket := b.plan.Bucket(s.hash)
	b.buckets[bucket] = max(0, b.buckets[bucket]-s.rate)
	b.record(Spraying, Change{Shard: s.shard, Sender: s.source, Reason: reason})
	return true
}

// sprayDominant sprays a sender above the capacity of its shard. The capacity later is not known,
// so one shard is tried again after a time that doubles.
func (b *Balancer) sprayDominant(now time.Time, s *sender, capacity float64) bool {
	retry := min(minSprayTime<<min(s.overloads, 6), maxSprayTime)
	s.overloads++
	s.capacity = capacity
	return b.spray(now, s, now.Add(retry), fmt.Sprintf("alone sends %s a second, and the shard handles %s", formatRate(s.rate), formatRate(capacity)))
}

func (b *Balancer) updateSprayed(now time.Time, s *sender) {
	small := b.limits.SprayAbove == 0 || s.rate < float64(b.limits.SprayAbove)/2
	if !s.retryAt.IsZero() {
		small = s.rate < s.capacity/2
	}
	due := !s.retryAt.IsZero() && now.After(s.retryAt)
	switch {
	case !small && !due:
		s.smallSince = time.Time{}
	case s.smallSince.IsZero() && !due:
		s.smallSince = now
	case due || now.Sub(s.smallSince) > minQuietPeriod:
		s.sprayed = false
		b.plan.Sprayed = slices.DeleteFunc(b.plan.Sprayed, func(hash uint32) bool { return hash == s.hash })
		s.shard, _ = b.plan.Shard(s.source)
		b.record(Unspraying, Change{Shard: s.shard, Sender: s.source, Reason: fmt.Sprintf("sends %s a second now", formatRate(s.rateLong))})
	}
}

// sortedSenders returns the senders, the heaviest first.
func (b *Balancer) sortedSenders() []*sender {
	return slices.SortedFunc(maps.Values(b.senders), func(x, y *sender) int {
		return cmp.Or(cmp.Compare(y.rateLong, x.rateLong), x.source.Compare(y.source))
	})
}

// heaviestSender returns the heaviest sender of a shard that is not sprayed, or nil.
func (b *Balancer) heaviestSender(shard int) *sender {
	var heaviest *sender
	for _, s := range b.senders {
		if s.shard == shard && !s.sprayed && (heaviest == nil || s.rate > heaviest.rate) {
			heaviest = s
		}
	}
	return heaviest
}

// formatRate formats a rate with two digits or thousands, the precision of a sample.
func formatRate(rate float64) string {
	if rate >= 10_000 {
		return fmt.Sprintf("%.0f,000", rate/1000)
	}
	return fmt.Sprintf("%.0f", rate)
}

// Rate is the rate of a sender, averaged over some three seconds.
type Rate struct {
	Source    netip.AddrPort
	PerSecond float64 // datagrams
	Part      float64 // of all datagrams, 0 to 1
	Sprayed   bool
}

// Top returns up to n senders, the heaviest first.
func (b *Balancer) Top(n int) []Rate {
	total := max(b.totalLong(), 1)
	var top []Rate
	for _, s := range b.sortedSenders() {
		if len(top) < n && s.rateLong > 0 {
			top = append(top, Rate{s.source, s.rateLong, min(1, s.rateLong/total), s.sprayed})
		}
	}
	return top
}

// Sprayed returns the senders that are sprayed.
func (b *Balancer) Sprayed() []netip.AddrPort {
	var sprayed []netip.AddrPort
	for _, s := range b.sortedSenders() {
		if s.sprayed {
			sprayed = append(sprayed, s.source)
		}
	}
	return sprayed
}
