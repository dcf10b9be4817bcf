// Package history keeps the last ten minutes of a ledger in memory: a Recorder reads every shard
// once a second, and keeps the counts and gauges of each step in rings. The memory of the rings is
// bounded, whatever the number of shards. Recorder.Snapshot and the HTTP handler return rates.
package history

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

const (
	// span is the time that the history covers, in seconds.
	span = 600
	// maxMemory is the largest size of all rings in bytes. With more than 218 shards, steps of one
	// second would need more, and a step is longer than one second.
	maxMemory = 4 << 20
	// interval is the time between two readings of the shards. Steps of the history may be longer,
	// but metrics.Shard.Read dates drops, with an error of one interval at most.
	interval = time.Second
)

// Recorder keeps the history of a ledger. Any goroutine may call Snapshot and ServeHTTP.
type Recorder struct {
	ledger *metrics.Ledger

	mu        sync.Mutex
	began     time.Time // of step 0
	step      int       // length of a step in seconds: a divisor of span
	newest    int       // number of the newest step; step n is at n modulo span/step in each ring
	length    int       // number of steps in the history
	recorded  time.Time // end of the newest step
	seconds   []float32 // ring: time between the reading of a step and the reading before; 0: no reading
	listeners []*listener
}

// listener is the history of a listener of the ledger. A name identifies a listener, as in the
// ledger.
type listener struct {
	name    string
	shards  []*shard
	targets []*target
}

// shard is the history of a shard. The position in the listener identifies a shard.
type shard struct {
	index    int
	counters *metrics.Shard
	before   totals // at the end of the newest step, or at the first reading of counters
	queue    uint16 // the largest fill since before, in percent
	ring     []point
}

// totals is the part of a reading that the history has as counts of steps.
type totals struct {
	received, delivered, bytes, lost, refused, cpu uint64
}

func totalsOf(r metrics.Reading) totals {
	return totals{received: r.Received, delivered: r.Delivered, bytes: r.Bytes, lost: r.Dropped.Lost(),
		refused: r.Dropped.OnPurpose(), cpu: uint64(r.CPUTime)}
}

// point is a step of a shard. Counts are of the step, and stay at the maximum of their type.
type point struct {
	bytes     uint64
	received  uint32
	delivered uint32
	lost      uint32
	refused   uint32
	cpu       uint16 // hundredths of a percent of a core: a sum of shards has a small error
	queue     uint16 // the largest fill of the receive buffer in percent
}

const pointSize = 32 // bytes

// target is the history of a target of a listener. The URL identifies a target.
type target struct {
	to           string
	acknowledged uint64 // in total, at the end of the newest step
	ring         []targetPoint
}

// targetPoint is a step of a target.
type targetPoint struct {
	waiting      uint64
	acknowledged uint32
}

const targetPointSize = 16 // bytes

// New returns a Recorder with an empty history.
func New(ledger *metrics.Ledger) *Recorder { return &Recorder{ledger: ledger, step: 1} }

// Run records until ctx ends. Before Run the history is empty. The counters of the first reading
// are the base: counts of predecessors are in no step.
func (r *Recorder) Run(ctx context.Context) {
	r.sample(time.Now())
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.sample(time.Now()) // the tick may be late
		case <-ctx.Done():
			return
		}
	}
}

// source is a listener of the ledger with its readings.
type source struct {
	*metrics.Listener
	readings []metrics.Reading
	targets  []metrics.Output
}

// sample reads the ledger, and ends the present step if its time is over at now. After a pause of
// several steps, all counts of the pause are in the last step, and the steps before are empty.
func (r *Recorder) sample(now time.Time) {
	var sources []source
	for _, l := range r.ledger.Listeners() {
		sources = append(sources, source{Listener: l, readings: l.Read()})
	}
	for i := range sources { // after all shards: a slow disk delays the ledgers of targets
		sources[i].targets = sources[i].TargetLedgers()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = now
	}
	r.layOut(sources, now)
	next := r.number(now)
	if next <= r.newest {
		return
	}
	skipped, elapsed := next-r.newest-1, now.Sub(r.recorded)
	put(r.seconds, next, skipped, float32(elapsed.Seconds()))
	for i, l := range r.listeners {
		for j, s := range l.shards {
			put(s.ring, next, skipped, s.end(sources[i].readings[j], elapsed))
		}
		for j, t := range l.targets {
			put(t.ring, next, skipped, t.end(sources[i].targets[j]))
		}
	}
	r.length = min(r.length+skipped+1, len(r.seconds))
	r.newest, r.recorded = next, now
}

// number returns the number of the step that has ended last at now.
func (r *Recorder) number(now time.Time) int { return int(now.Sub(r.began)/time.Second) / r.step }

// put sets step next of a ring, and clears the skipped steps before.
func put[T any](ring []T, next, skipped int, value T) {
	var empty T
	for n := next - min(skipped, len(ring)-1); n < next; n++ {
		ring[n%len(ring)] = empty
	}
	ring[next%len(ring)] = value
}

// layOut makes r.listeners match the sources. Shards and targets that are new have an empty ring. If
// the number of rings asks for another step, the history begins anew.
func (r *Recorder) layOut(sources []source, now time.Time) {
	size := 0 // of one step
	for _, s := range sources {
		size += len(s.readings)*pointSize + len(s.targets)*targetPointSize
	}
	if step := stepFor(size); step != r.step || r.seconds == nil {
		r.step, r.length = step, 0
		r.newest, r.recorded = r.number(now), now
		r.seconds = make([]float32, span/step)
		r.listeners = nil
	}
	known := make(map[string]*listener, len(r.listeners))
	for _, l := range r.listeners {
		known[l.name] = l
	}
	r.listeners = make([]*listener, 0, len(sources))
	for _, s := range sources {
		l := known[s.Name]
		if l == nil {
			l = &listener{name: s.Name}
		}
		l.update(s, len(r.seconds))
		r.listeners = append(r.listeners, l)
	}
}

// stepFor returns the shortest step in seconds with which all rings fit into maxMemory. size is the
// size of one step of all rings.
func stepFor(size int) int {
	for step := 1; step < span; step++ {
		if span%step == 0 && span/step*size <= maxMemory {
			return step
		}
	}
	return span
}

// update makes the shards and targets of l match the source, and records the fill of the queues. The
// counters of a shard that is new, or that goes on in a new group, may include counts of a
// predecessor: the first reading is the base.
func (l *listener) update(from source, steps int) {
	for i, counters := range from.Shards {
		if i == len(l.shards) {
			l.shards = append(l.shards, &shard{ring: make([]point, steps)})
		}
		s, reading := l.shards[i], from.readings[i]
		if s.counters != counters {
			s.index, s.counters, s.before = counters.Index, counters, totalsOf(reading)
		}
		s.queue = max(s.queue, percent(float64(reading.QueueBytes), float64(reading.BufferBytes)))
	}
	clear(l.shards[len(from.Shards):])
	l.shards = l.shards[:len(from.Shards)]

	known := make(map[string]*target, len(l.targets))
	for _, t := range l.targets {
		known[t.to] = t
	}
	l.targets = nil
	for _, o := range from.targets {
		t := known[o.To]
		if t == nil {
			t = &target{to: o.To, acknowledged: o.Acknowledged, ring: make([]targetPoint, steps)}
		}
		l.targets = append(l.targets, t)
	}
}

// end returns the step that ends with a reading, and begins the next step.
func (s *shard) end(r metrics.Reading, elapsed time.Duration) point {
	now, before := totalsOf(r), s.before
	p := point{
		bytes:     since(before.bytes, now.bytes),
		received:  narrow(since(before.received, now.received)),
		delivered: narrow(since(before.delivered, now.delivered)),
		lost:      narrow(since(before.lost, now.lost)),
		refused:   narrow(since(before.refused, now.refused)),
		cpu:       percent(100*float64(since(before.cpu, now.cpu)), float64(elapsed)),
		queue:     s.queue,
	}
	s.before, s.queue = now, 0
	return p
}

// end returns the step that ends with a reading, and begins the next step.
func (t *target) end(now metrics.Output) targetPoint {
	p := targetPoint{waiting: now.Waiting, acknowledged: narrow(since(t.acknowledged, now.Acknowledged))}
	t.acknowledged = now.Acknowledged
	return p
}

// since returns what a counter has counted between two readings; 0 if the counter is smaller now.
func since(before, now uint64) uint64 { return now - min(now, before) }

// narrow returns n, or the largest uint32 if n is larger.
func narrow(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

// percent returns part of whole in percent, rounded; 0 if whole is 0.
func percent(part, whole float64) uint16 {
	if whole == 0 {
		return 0
	}
	return uint16(min(math.Round(100*part/whole), math.MaxUint16))
}
