package steer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// world is a model of senders, shards and queues, with a time that the test controls.
type world struct {
	t        *testing.T
	now      time.Time
	balancer *Balancer
	shards   []*modelShard
	senders  []*modelSender
	log      []Change
	shardOf  map[netip.AddrPort]int // of each sender, -1: several shards
	moves    map[netip.AddrPort]int // changes of shardOf
}

type modelShard struct {
	capacity   float64 // datagrams a second
	buffer     float64 // datagrams
	stalled    bool
	runDelay   float64 // share of the time in waits for the CPU
	outputWait float64 // share of the time in waits for the output
	queue      float64 // datagrams
	arrived    float64 // datagrams, in the last tick
	sample     Sample  // totals
	handled    float64
	dropped    float64
}

type modelSender struct {
	source netip.AddrPort
	rate   float64 // datagrams a second
}

func newWorld(t *testing.T, shards int, limits Limits) *world {
	w := &world{
		t: t, now: time.Unix(1_000_000, 0), shardOf: make(map[netip.AddrPort]int), moves: make(map[netip.AddrPort]int),
		balancer: NewBalancer(Plan{Mode: Auto, Shards: shards, Seed: 1}, limits),
	}
	for range shards {
		w.shards = append(w.shards, &modelShard{capacity: 400_000, buffer: 10_000})
	}
	return w
}

// send adds senders with an equal share of a rate, and returns the senders.
func (w *world) send(count int, rate float64) []*modelSender {
	var added []*modelSender
	for range count {
		n := len(w.senders)
		added = append(added, &modelSender{netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:514", n/250, n%250+1)), rate / float64(count)})
		w.senders = append(w.senders, added[len(added)-1])
	}
	return added
}

// pass makes ticks for a duration.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= Tick {
		w.tick()
	}
}

func (w *world) tick() {
	w.t.Helper()
	w.now = w.now.Add(Tick)
	plan, seconds := w.balancer.Plan(), Tick.Seconds()
	sketches := make([]*Sketch, len(w.shards))
	for i, s := range w.shards {
		sketches[i], s.arrived = NewSketch(plan), 0
	}
	give := func(s *modelSender, shard int, n float64) {
		w.shards[shard].arrived += n
		if !w.shards[shard].stalled {
			sketches[shard].Add(s.source, uint32(n+0.5))
		}
	}
	for _, s := range w.senders {
		n := s.rate * seconds
		shard, one := plan.Shard(s.source)
		if one {
			give(s, shard, n)
		} else {
			shard = -1
			usable := plan.usable()
			for _, i := range usable {
				give(s, i, n/float64(len(usable)))
			}
		}
		if was, known := w.shardOf[s.source]; known && was != shard {
			w.moves[s.source]++
		}
		w.shardOf[s.source] = shard
	}
	samples := make([]Sample, len(w.shards))
	for i, s := range w.shards {
		s.step(seconds)
		samples[i] = s.sample
		if !s.stalled && s.arrived > 0 {
			samples[i].Sketch = sketches[i]
		}
	}
	changes := w.balancer.Step(w.now, samples)
	w.log = append(w.log, changes...)
	if _, err := w.balancer.Plan().Program(); err != nil {
		w.t.Fatalf("the plan has no program: %v", err)
	}
}

func (s *modelShard) step(seconds float64) {
	s.queue += s.arrived
	s.sample.RunDelay += time.Duration(s.runDelay * float64(Tick))
	s.sample.OutputWait += time.Duration(s.outputWait * float64(Tick))
	s.sample.SinceHeartbeat += Tick
	if !s.stalled {
		s.sample.SinceHeartbeat = time.Millisecond
		handled := min(s.queue, s.capacity*(1-s.runDelay)*seconds)
		s.handled += handled
		s.queue -= handled
	}
	if over := s.queue - s.buffer; over > 0 {
		s.dropped += over
		s.queue = s.buffer
	}
	s.sample.Received, s.sample.Dropped = uint64(s.handled), uint64(s.dropped)
	s.sample.Queued, s.sample.Buffer = uint64(s.queue*768), uint64(s.buffer*768)
}

// dropped returns the sum of all shards' drops.
func (w *world) dropped() (sum float64) {
	for _, s := range w.shards {
		sum += s.dropped
	}
	return sum
}

// parts returns each shard's share of the arrivals of the last tick.
func (w *world) parts() []float64 {
	var sum float64
	for _, s := range w.shards {
		sum += s.arrived
	}
	var parts []float64
	for _, s := range w.shards {
		parts = append(parts, s.arrived/sum)
	}
	return parts
}

// kinds returns the kinds of all changes, without repetitions.
func (w *world) kinds() []Kind {
	var kinds []Kind
	for _, c := range w.log {
		kinds = append(kinds, c.Kind)
	}
	return slices.Compact(kinds)
}

func (w *world) want(kinds ...Kind) {
	w.t.Helper()
	if got := w.kinds(); !slices.Equal(got, kinds) {
		w.t.Errorf("changes %v, want %v:", got, kinds)
		for _, c := range w.log {
			w.t.Errorf("  %s: %s", c, c.Reason)
		}
	}
}

// kept fails if one of the senders has moved.
func (w *world) kept(senders []*modelSender) {
	w.t.Helper()
	for _, s := range senders {
		if n := w.moves[s.source]; n > 0 {
			w.t.Errorf("%s changed its shard %d times", s.source, n)
		}
	}
}
