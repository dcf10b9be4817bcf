package shard

import "time"

// Receive coalescing: a shard that has emptied its queue under load pauses before the next
// receive, so that a receive returns several datagrams. A wake-up costs as much as several
// datagrams, and a pause costs as much as one. A pause pays from minCoalesced messages on, unless
// datagrams come in bursts of that size. maxPause is a 25th of the time after which a record is
// flushed. A pause below minPause would save too little.
const (
	maxPause     = 2 * time.Millisecond
	minPause     = time.Millisecond / 2
	minCoalesced = 4
)

// Worst case for the receive buffer in a pause: more datagrams a second than one core reads, each
// with the kernel's charge for a full Ethernet frame.
const (
	maxRatePerSecond = 1_500_000
	maxCharge        = 2304
)

// pauseFor returns the pause for a receive buffer, in the kernel's count of bytes, so that the
// buffer is at most half full after a pause; 0 for small buffers: no pauses.
func pauseFor(buffer int) time.Duration {
	d := time.Duration(buffer) * time.Second / (2 * maxCharge * maxRatePerSecond)
	if d < minPause {
		return 0
	}
	return min(d, maxPause)
}

// coalescer decides about a pause after each receive that has emptied the queue.
type coalescer struct {
	pause    time.Duration // 0: never
	messages int           // since the queue was last empty
	since    time.Time     // when the queue was last empty
	skip     int           // pauses still to skip
	nextSkip int           // pauses to skip after the next pause without effect
}

// maxSkip bounds how many pauses are skipped after pauses without effect: bursts with silence
// between them look like a rate.
const maxSkip = 63

// shouldPause reports whether the shard should pause, after a receive that has emptied the queue.
func (c *coalescer) shouldPause(now time.Time) bool {
	elapsed := now.Sub(c.since)
	pays := time.Duration(c.messages)*c.pause >= minCoalesced*max(elapsed, 1)
	c.messages, c.since = 0, now
	if pays && c.skip > 0 {
		c.skip--
		return false
	}
	return pays
}

// recordPause gets the number of messages of the first receive after a pause.
func (c *coalescer) recordPause(messages int) {
	if messages >= minCoalesced {
		c.nextSkip = 0
		return
	}
	c.nextSkip = min(2*c.nextSkip+1, maxSkip)
	c.skip = c.nextSkip
}
