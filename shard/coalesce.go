package shard

import "time"

// A shard that has emptied its queue lets datagrams gather before it looks
// again, where it may and where enough are on their way. A wake-up costs as
// much as several datagrams, and a gather costs one; a rate of gatherWorth
// messages to a gather makes it pay, unless they come in bursts as long. The
// longest gather is a 25th of what a record waits for its flush; a shorter
// one than the shortest would spare too little.
const (
	longestGather  = 2 * time.Millisecond
	shortestGather = time.Millisecond / 2
	gatherWorth    = 4
)

// What a gather must be safe against: more datagrams a second than one core
// reads, at the kernel's charge for one that fills an Ethernet frame.
const (
	fastest    = 1_500_000
	chargeMost = 2304
)

// gatherFor returns how long datagrams may gather in a receive buffer, in the
// kernel's count, so that it is never more than half full. For smaller ones
// it is 0: they are read as fast as it goes.
func gatherFor(buffer int) time.Duration {
	d := time.Duration(buffer) * time.Second / (2 * chargeMost * fastest)
	if d < shortestGather {
		return 0
	}
	return min(d, longestGather)
}

// gatherer decides after each receive that left the queue empty.
type gatherer struct {
	time  time.Duration // of a gather; 0: never
	count int           // messages since the queue was last empty
	since time.Time
	skip  int // so many chances are let pass
	fails int // how many more the next time
}

// mostSkipped bounds what is let pass after gathers that brought too little:
// bursts with silence between them look like a rate.
const mostSkipped = 63

// worth says whether to gather, when a receive has emptied the queue.
func (g *gatherer) worth(now time.Time) bool {
	elapsed := now.Sub(g.since)
	worth := time.Duration(g.count)*g.time >= gatherWorth*max(elapsed, 1)
	g.count, g.since = 0, now
	if worth && g.skip > 0 {
		g.skip--
		return false
	}
	return worth
}

// brought tells what the first receive after a gather found.
func (g *gatherer) brought(n int) {
	if n >= gatherWorth {
		g.fails = 0
		return
	}
	g.fails = min(2*g.fails+1, mostSkipped)
	g.skip = g.fails
}
