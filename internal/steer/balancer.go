package steer

import (
	"maps"
	"slices"
	"time"
)

// Tick is how often a Controller wants to be shown how shards do.
const Tick = 100 * time.Millisecond

// Sample is how a shard does at a tick. Totals only grow.
type Sample struct {
	Received uint64        // datagrams in total
	Dropped  uint64        // by the kernel at the shard's socket, in total
	Queued   uint64        // bytes that wait in the socket's queue, as the kernel counts them
	Buffer   uint64        // bytes that may
	Away     time.Duration // since the shard was last at its socket
	Waited   time.Duration // for a CPU that was another thread's, in total; 0 where that can't be known
	Held     time.Duration // by the shard's output, in total
	Sketch   *Sketch       // of what it received since the last one; nil: no news
}

// Limits are what a Controller is told to keep to.
type Limits struct {
	// StallAfter is how long a shard may be away from a queue that isn't
	// empty before it is steered around; 0 is for ever.
	StallAfter time.Duration
	// SprayAbove is how many datagrams a second one sender may send to one
	// shard, if that is more than its fair part; 0 is any number, which
	// leaves only those that a shard can't keep up with.
	SprayAbove int
	// OneOutput says that all shards wait for the same output, so that going
	// from one shard to another is no help where the output is slow.
	OneOutput bool
}

// Controller makes the plan of a group's shards. One goroutine may use it.
type Controller struct {
	limits  Limits
	plan    Plan
	shards  []shardState
	buckets []float64 // datagrams a second that plan.Moved has a say in
	senders map[uint32]*sender
	last    time.Time
	changes []Change

	placement Placement
}

// NewController returns one that begins with a plan, and keeps its mode.
func NewController(p Plan, l Limits) *Controller {
	p.Avoid, p.Moved, p.Sprayed = nil, map[int]int{}, nil
	return &Controller{
		limits:  l,
		plan:    p,
		shards:  make([]shardState, p.Shards),
		buckets: make([]float64, p.Buckets()),
		senders: make(map[uint32]*sender),
	}
}

// SetMode begins anew in another mode. Shards that are avoided stay so, where
// the mode can do that.
func (c *Controller) SetMode(m Mode) {
	c.plan.Mode, c.plan.Moved, c.plan.Sprayed = m, map[int]int{}, nil
	for _, s := range c.senders {
		s.sprayed = false
	}
	for i := range c.shards {
		c.shards[i].avoided = c.shards[i].avoided && m != Hash
	}
	c.avoid()
}

// SetLimits changes what it keeps to.
func (c *Controller) SetLimits(l Limits) { c.limits = l }

// Plan returns a copy of the plan that is in force.
func (c *Controller) Plan() Plan {
	p := c.plan
	p.Avoid, p.Moved, p.Sprayed = slices.Clone(p.Avoid), maps.Clone(p.Moved), slices.Clone(p.Sprayed)
	return p
}

// Step takes a sample of each shard, in their order, and returns what it
// changed about the plan: most times nothing.
func (c *Controller) Step(now time.Time, samples []Sample) []Change {
	c.changes = nil
	if elapsed := now.Sub(c.last); c.last.IsZero() || elapsed <= 0 {
		for i := range c.shards {
			c.shards[i].begin(samples[i])
		}
	} else {
		c.observe(now, elapsed, samples)
		c.judgeStalls(now)
		if c.plan.Mode == Auto && c.plan.Shards > 1 {
			c.judgeSenders(now)
			c.judgeQueues(now)
		}
	}
	c.last = now
	return c.changes
}

// change notes one.
func (c *Controller) change(k Kind, ch Change) {
	ch.Kind = k
	c.changes = append(c.changes, ch)
}
