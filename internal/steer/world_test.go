package steer

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// world is a model of senders, shards and their queues, in which time passes
// as a test wants it.
type world struct {
	t       *testing.T
	now     time.Time
	control *Controller
	shards  []*modelShard
	senders []*modelSender
	log     []Change
	places  map[netip.AddrPort]int // where each sender's datagrams went, -1: to several
	strayed map[netip.AddrPort]int // how often that changed
}

type modelShard struct {
	bears   float64 // datagrams a second that it can handle
	buffer  float64 // datagrams that its queue holds
	stuck   bool
	waits   float64 // part of its time for which its CPU is another's
	holds   float64 // part of its time for which its output keeps it
	queue   float64
	away    time.Duration
	waited  time.Duration
	held    time.Duration
	handled float64
	dropped float64
	arrived float64 // in the last tick
}

type modelSender struct {
	source netip.AddrPort
	rate   float64 // datagrams a second
}

func newWorld(t *testing.T, shards int, limits Limits) *world {
	w := &world{
		t: t, now: time.Unix(1_000_000, 0), places: make(map[netip.AddrPort]int), strayed: make(map[netip.AddrPort]int),
		control: NewController(Plan{Mode: Auto, Shards: shards, Seed: 1}, limits),
	}
	for range shards {
		w.shards = append(w.shards, &modelShard{bears: 400_000, buffer: 10_000})
	}
	return w
}

// send adds senders that share a rate evenly, and returns them.
func (w *world) send(count int, rate float64) []*modelSender {
	var added []*modelSender
	for range count {
		n := len(w.senders)
		added = append(added, &modelSender{netip.MustParseAddrPort(fmt.Sprintf("10.0.%d.%d:514", n/250, n%250+1)), rate / float64(count)})
		w.senders = append(w.senders, added[len(added)-1])
	}
	return added
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for ; d > 0; d -= Tick {
		w.tick()
	}
}

func (w *world) tick() {
	w.t.Helper()
	w.now = w.now.Add(Tick)
	plan, seconds := w.control.Plan(), Tick.Seconds()
	sketches := make([]*Sketch, len(w.shards))
	for i, s := range w.shards {
		sketches[i], s.arrived = NewSketch(plan), 0
	}
	give := func(s *modelSender, shard int, n float64) {
		w.shards[shard].arrived += n
		if !w.shards[shard].stuck {
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
		if was, known := w.places[s.source]; known && was != shard {
			w.strayed[s.source]++
		}
		w.places[s.source] = shard
	}
	samples := make([]Sample, len(w.shards))
	for i, s := range w.shards {
		s.step(seconds)
		samples[i] = Sample{
			Received: uint64(s.handled), Dropped: uint64(s.dropped), Queued: uint64(s.queue * 768), Buffer: uint64(s.buffer * 768),
			Away: s.away, Waited: s.waited, Held: s.held,
		}
		if !s.stuck && s.arrived > 0 {
			samples[i].Sketch = sketches[i]
		}
	}
	changes := w.control.Step(w.now, samples)
	w.log = append(w.log, changes...)
	if _, err := w.control.Plan().Program(); err != nil {
		w.t.Fatalf("the plan has no program: %v", err)
	}
}

func (s *modelShard) step(seconds float64) {
	s.queue += s.arrived
	s.waited += time.Duration(s.waits * float64(Tick))
	s.held += time.Duration(s.holds * float64(Tick))
	s.away += Tick
	if !s.stuck {
		s.away = time.Millisecond
		handled := min(s.queue, s.bears*(1-s.waits)*seconds)
		s.handled += handled
		s.queue -= handled
	}
	if over := s.queue - s.buffer; over > 0 {
		s.dropped += over
		s.queue = s.buffer
	}
}

// dropped returns what all sockets have dropped so far.
func (w *world) dropped() (sum float64) {
	for _, s := range w.shards {
		sum += s.dropped
	}
	return sum
}

// parts returns each shard's part of what arrived in the last tick.
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

// kinds returns the kinds of all changes so far, runs of one as one.
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

// kept fails where a sender that did not have to move did.
func (w *world) kept(senders []*modelSender) {
	w.t.Helper()
	for _, s := range senders {
		if n := w.strayed[s.source]; n > 0 {
			w.t.Errorf("%s changed its shard %d times", s.source, n)
		}
	}
}
