package steer

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// minSkewRate is the least rate of datagrams a second with a skew report.
	minSkewRate = 100
	// A shard's share is skewed from skewFactor times the fair share, and skewMargin above it.
	skewFactor = 1.5
	skewMargin = 0.1
)

// Skew returns the skew report: which shards are stalled, overloaded or have more than their share,
// the cause, and what is done or could be done; "" if nothing is skewed.
func (b *Balancer) Skew() string {
	var report []string
	for _, i := range b.Stalled() {
		s := &b.shards[i]
		text := fmt.Sprintf("shard %d is stalled%s", i, s.cause())
		switch {
		case s.avoided:
			text += "; datagrams go to other shards"
		case b.plan.Mode == Hash && b.plan.Shards > 1:
			text += "; datagrams of its senders wait (steer auto avoids stalled shards)"
		}
		report = append(report, text)
	}
	for _, s := range b.sortedSenders() {
		if s.sprayed {
			report = append(report, fmt.Sprintf("%.0f%% come from one sender, %s; sprayed", b.percentLong(s.rateLong), s.source))
		}
	}
	if text := b.skewedShard(); text != "" {
		report = append(report, text)
	}
	if b.plan.Shards > 1 && b.allOverloaded() {
		report = append(report, "every shard's queue fills: the load is above the capacity of all shards")
	}
	return strings.Join(report, ". ")
}

func (b *Balancer) allOverloaded() bool {
	return !slices.ContainsFunc(b.shards, func(s shardState) bool { return !s.overloaded() })
}

// skewedShard reports the shard with the largest share, if that share is skewed.
func (b *Balancer) skewedShard() string {
	total, largest := b.totalLong(), 0
	if b.plan.Shards == 1 || min(total, b.total()) < minSkewRate {
		return ""
	}
	for i := range b.shards {
		if b.shards[i].arrivedLong > b.shards[largest].arrivedLong {
			largest = i
		}
	}
	for _, s := range b.senders {
		if s.sprayed && b.last.Sub(s.sprayedAt) < 2*longAverage { // not in the averages yet
			return ""
		}
	}
	if b.plan.Mode == CPU {
		return b.skewedCPU()
	}
	share := b.shards[largest].arrivedLong / total
	if !isSkewed(share, len(b.plan.usable())) {
		return ""
	}
	text := fmt.Sprintf("shard %d took %.0f%%", largest, 100*share)
	name, part, senders := b.heaviestSource(largest)
	switch {
	case senders == 0:
		return text
	case part < 0.5:
		return text + ": more senders, or larger senders, than on other shards"
	}
	return text + ": one sender, " + name + b.remedy(&b.shards[largest])
}

func isSkewed(share float64, among int) bool {
	fair := 1 / float64(among)
	return share >= skewFactor*fair && share >= fair+skewMargin
}

// remedy returns what is done or could be done for a shard that one sender fills.
func (b *Balancer) remedy(s *shardState) string {
	switch {
	case b.plan.Mode == Hash && b.limits.SprayAbove > 0:
		return "; steer auto sprays a sender that is too much for one shard"
	case b.plan.Mode == Source:
		return "; steer auto spreads the ports of an address"
	case b.plan.Mode != Auto:
		return ""
	case b.last.Sub(s.pressedAt) > minQuietPeriod:
		return "; the shard keeps up, so the sender's order is kept"
	case b.waitsForSharedOutput(s):
		return "; the shard waits for the output of all shards"
	case len(b.plan.Sprayed) == maxSprayed:
		return fmt.Sprintf("; %d senders are sprayed, the maximum", maxSprayed)
	}
	return ""
}

// skewedCPU reports the CPU that receives most, if its share is skewed.
func (b *Balancer) skewedCPU() string {
	rates := make(map[int]float64)
	for i := range b.shards {
		rates[b.plan.CPUs[i]] += b.shards[i].arrivedLong
	}
	largest := b.plan.CPUs[0]
	for cpu, rate := range rates {
		if rate > rates[largest] || rate == rates[largest] && cpu < largest {
			largest = cpu
		}
	}
	if share := rates[largest] / b.totalLong(); isSkewed(share, len(rates)) {
		return fmt.Sprintf("CPU %d received %.0f%%: the network card's queues or RPS decide that", largest, 100*share)
	}
	return ""
}

// heaviestSource returns the name of the heaviest sender of a shard, the sender's part of the
// shard's datagrams, and the number of known senders of the shard. In Source a sender is an
// address.
func (b *Balancer) heaviestSource(shard int) (name string, part float64, senders int) {
	rates := make(map[string]float64)
	for _, s := range b.senders {
		if s.shard != shard || s.sprayed {
			continue
		}
		from := s.source.String()
		if b.plan.Mode == Source {
			from = s.source.Addr().String()
		}
		rates[from] += s.rateLong
	}
	for from, rate := range rates {
		if name == "" || rate > rates[name] {
			name = from
		}
	}
	return name, rates[name] / max(b.shards[shard].arrivedLong, 1), len(rates)
}
