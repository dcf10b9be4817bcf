package loadgen

import (
	"math"
	"slices"
)

// senders divides flows, rate and count among threads.
func (c Config) senders(flows []*flow, text *text) []*sender {
	senders := make([]*sender, c.Threads)
	for i := range senders {
		senders[i] = &sender{text: text, gso: c.GSO, batch: c.Batch, duration: c.Duration, cpu: -1}
		if len(c.CPUs) > 0 {
			senders[i].cpu = c.CPUs[i%len(c.CPUs)]
		}
	}
	for i, f := range flows {
		s := senders[i%len(senders)]
		s.flows = append(s.flows, f)
	}
	var before float64
	for _, s := range senders {
		share := 0.0
		for _, f := range s.flows {
			share += c.share(f.number)
		}
		if c.Heavy > 0 && s.flows[0].number == 0 {
			s.heavy = c.Heavy / share
		}
		s.pace = pacer{rate: c.Rate * share, quantum: uint64(c.GSO)}
		// Rounding the cumulative counts makes the parts add up.
		s.count = uint64(math.Round(float64(c.Count)*(before+share))) - uint64(math.Round(float64(c.Count)*before))
		before += share
	}
	// A sender with count 0 would never end, and a sender with rate 0 would not be limited.
	return slices.DeleteFunc(senders, func(s *sender) bool {
		return c.Count > 0 && s.count == 0 || c.Rate > 0 && s.pace.rate == 0
	})
}

// share returns a flow's share of all datagrams.
func (c Config) share(flow int) float64 {
	switch {
	case c.Heavy == 0 || c.Flows == 1:
		return 1 / float64(c.Flows)
	case flow == 0:
		return c.Heavy
	default:
		return (1 - c.Heavy) / float64(c.Flows-1)
	}
}
