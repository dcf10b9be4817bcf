package steer

import (
	"maps"
	"slices"
	"time"
)

// Tick is the interval of Balancer.Step.
const Tick = 100 * time.Millisecond

// Sample is the state of a shard at a tick. Totals only grow.
type Sample struct {
	Received       uint64        // datagrams, total
	Dropped        uint64        // datagrams dropped by the kernel at the shard's socket, total
	Queued         uint64        // bytes in the socket's queue, in the kernel's count
	Buffer         uint64        // maximum of Queued
	SinceHeartbeat time.Duration // time since the shard's thread was last at its socket
	RunDelay       time.Duration // wait for the CPU while another thread had it, total; 0: not known
	OutputWait     time.Duration // wait for the shard's output, total
	Sketch         *Sketch       // of the datagrams since the Sketch before; nil: none yet
}

// Limits are the settings of a Balancer.
type Limits struct {
	// StallAfter is how long a shard may be away from a queue with datagrams before the shard is
	// avoided; 0: for ever.
	StallAfter time.Duration
	// SprayAbove is how many datagrams a second of a sender stay on one shard, if these are more
	// than the fair share of a shard; 0: any number, and only senders above a shard's capacity are
	// sprayed.
	SprayAbove int
	// OneOutput: all shards wait for the same output, so another shard is no faster where the
	// output is slow.
	OneOutput bool
}

// Balancer makes the plan of a group's shards. It is for one goroutine at a time.
type Balancer struct {
	limits  Limits
	plan    Plan
	shards  []shardState
	buckets []float64 // datagrams a second of each bucket, without those of sprayed flows
	senders map[uint32]*sender
	last    time.Time
	changes []Change

	placement Placement
}

// NewBalancer returns a Balancer that begins with p, without moved buckets, and keeps the mode of
// p.
func NewBalancer(p Plan, l Limits) *Balancer {
	p.Avoid, p.Moved, p.Sprayed = nil, map[int]int{}, nil
	return &Balancer{
		limits:  l,
		plan:    p,
		shards:  make([]shardState, p.Shards),
		buckets: make([]float64, p.Buckets()),
		senders: make(map[uint32]*sender),
	}
}

// SetMode begins a new plan in a mode. Avoided shards stay avoided, except in Hash.
func (b *Balancer) SetMode(m Mode) {
	b.plan.Mode, b.plan.Moved, b.plan.Sprayed = m, map[int]int{}, nil
	for _, s := range b.senders {
		s.sprayed = false
	}
	for i := range b.shards {
		b.shards[i].avoided = b.shards[i].avoided && m != Hash
	}
	b.updateAvoided()
}

// SetLimits replaces the limits.
func (b *Balancer) SetLimits(l Limits) { b.limits = l }

// Plan returns a copy of the plan.
func (b *Balancer) Plan() Plan {
	p := b.plan
	p.Avoid, p.Moved, p.Sprayed = slices.Clone(p.Avoid), maps.Clone(p.Moved), slices.Clone(p.Sprayed)
	return p
}

// Step takes a sample of each shard, in the order of the shards, and returns the changes of the
// plan: usually none.
func (b *Balancer) Step(now time.Time, samples []Sample) []Change {
	b.changes = nil
	if elapsed := now.Sub(b.last); b.last.IsZero() || elapsed <= 0 {
		for i := range b.shards {
			b.shards[i].setLast(samples[i])
		}
	} else {
		b.updateRates(now, elapsed, samples)
		b.updateStalls(now)
		if b.plan.Mode == Auto && b.plan.Shards > 1 {
			b.updateSenders(now)
			b.updateQueues(now)
		}
	}
	b.last = now
	return b.changes
}

func (b *Balancer) record(k Kind, c Change) {
	c.Kind = k
	b.changes = append(b.changes, c)
}
