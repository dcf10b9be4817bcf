package steer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	// leastTotal is how many datagrams a second there must be before their
	// spread says something.
	leastTotal = 100
	// A shard's part is skewed from so many times the fair one, and from so
	// much above it.
	skewTimes = 1.5
	skewAbove = 0.1
)

// Skew says in words what is not as it should be about the spread over
// shards, why, and what is done or could be done about it; nothing if all is
// well.
func (c *Controller) Skew() string {
	var says []string
	for _, i := range c.Stalled() {
		s := &c.shards[i]
		text := fmt.Sprintf("shard %d is stuck%s", i, s.suspicion())
		switch {
		case s.avoided:
			text += "; steering around it"
		case c.plan.Mode == Hash && c.plan.Shards > 1:
			text += "; its senders' datagrams wait there (steer auto goes around it)"
		}
		says = append(says, text)
	}
	for _, s := range c.sorted() {
		if s.sprayed {
			says = append(says, fmt.Sprintf("%.0f%% come from one sender, %s; spraying it", c.part(s.shown), s.source))
		}
	}
	if text := c.uneven(); text != "" {
		says = append(says, text)
	}
	if c.plan.Shards > 1 && c.overrunAll() {
		says = append(says, "every shard's queue fills: more comes than they handle")
	}
	return strings.Join(says, ". ")
}

func (c *Controller) all() float64 { return c.total(func(s *shardState) float64 { return s.shown }) }

// part is a rate in percent of all.
func (c *Controller) part(rate float64) float64 { return min(100, 100*rate/max(c.all(), 1)) }

func (c *Controller) overrunAll() bool {
	return !slices.ContainsFunc(c.shards, func(s shardState) bool { return !s.overrun() })
}

// uneven tells of the shard that has most, if that is too much.
func (c *Controller) uneven() string {
	all, most := c.all(), 0
	if c.plan.Shards == 1 || min(all, c.total(arrived)) < leastTotal {
		return ""
	}
	for i := range c.shards {
		if c.shards[i].shown > c.shards[most].shown {
			most = i
		}
	}
	for _, s := range c.senders {
		if s.sprayed && c.last.Sub(s.since) < 2*slow { // the averages have not heard of it
			return ""
		}
	}
	if c.plan.Mode == CPU {
		return c.unevenCPUs()
	}
	part := c.shards[most].shown / all
	if !skewed(part, len(c.plan.usable())) {
		return ""
	}
	text := fmt.Sprintf("shard %d took %.0f%%", most, 100*part)
	name, of, senders := c.mainSender(most)
	switch {
	case senders == 0:
		return text
	case of < 0.5:
		return fmt.Sprintf("%s: it has more of the senders, or of the large ones, than others", text)
	}
	return text + ": one sender, " + name + c.remedy(&c.shards[most])
}

func skewed(part float64, among int) bool {
	fair := 1 / float64(among)
	return part >= skewTimes*fair && part >= fair+skewAbove
}

// remedy is what is done or could be done about a shard that one sender fills.
func (c *Controller) remedy(s *shardState) string {
	switch {
	case c.plan.Mode == Hash && c.limits.SprayAbove > 0:
		return "; steer auto sprays it when it is too much for a shard"
	case c.plan.Mode == Source:
		return "; steer auto spreads its ports"
	case c.plan.Mode != Auto:
		return ""
	case c.last.Sub(s.pressed) > calm:
		return "; its shard keeps up, so it keeps its order"
	case c.limits.OneOutput && s.held > much:
		return "; its shard waits for the output, as any other would"
	case len(c.plan.Sprayed) == maxSprayed:
		return fmt.Sprintf("; %d senders are sprayed already, and no more can be", maxSprayed)
	}
	return ""
}

// unevenCPUs tells of the CPU that receives most, if that is too much.
func (c *Controller) unevenCPUs() string {
	rates := make(map[int]float64)
	for i := range c.shards {
		rates[c.plan.CPUs[i]] += c.shards[i].shown
	}
	most := c.plan.CPUs[0]
	for cpu, rate := range rates {
		if rate > rates[most] || rate == rates[most] && cpu < most {
			most = cpu
		}
	}
	if part := rates[most] / c.all(); skewed(part, len(rates)) {
		return fmt.Sprintf("CPU %d received %.0f%%: the network card's queues or RPS decide that", most, 100*part)
	}
	return ""
}

// mainSender returns who sends most to a shard, what part of the shard's
// datagrams that is, and how many are known to send to it. In Source, where
// ports do not count, it is an address.
func (c *Controller) mainSender(shard int) (name string, part float64, senders int) {
	rates := make(map[string]float64)
	for _, s := range c.senders {
		if s.shard != shard || s.sprayed {
			continue
		}
		from := s.source.String()
		if c.plan.Mode == Source {
			from = netip.AddrPort(s.source).Addr().String()
		}
		rates[from] += s.shown
	}
	for from, rate := range rates {
		if name == "" || rate > rates[name] {
			name = from
		}
	}
	return name, rates[name] / max(c.shards[shard].shown, 1), len(rates)
}
