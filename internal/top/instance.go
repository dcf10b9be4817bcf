package top

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

// answer is the result of asking an instance.
type answer struct {
	instance int // position in Config.Instances
	at       time.Time
	status   metrics.Status
	history  history.History // of the first answer; empty: none
	err      error
}

// ask asks an instance for its status, and the first time for its history. Versions before 0.1.0 have
// no history: the rates are known from the second status on.
func ask(ctx context.Context, from client.Instance, index int, first bool) answer {
	a := answer{instance: index}
	if first {
		a.history, _ = from.History(ctx)
	}
	a.status, a.err = from.Status(ctx)
	a.at = time.Now()
	return a
}

// instance is what is known of an instance.
type instance struct {
	name     string         // address
	status   metrics.Status // the latest
	overview overview.Overview
	at       time.Time // of the status; zero: no answer yet
	err      error     // of the latest request
	failing  time.Time // when requests began to fail
	event    string    // what has happened to the process, such as a takeover
	eventAt  time.Time

	shards  map[shardID]*shard
	targets map[targetID]*target
}

type shardID struct {
	listener string
	shard    int
}

type targetID struct{ listener, to string }

// shard is the rates of a shard.
type shard struct {
	reading metrics.Reading
	rates   rates
	recent  []point // received, oldest first
}

// target is the rate of a target.
type target struct {
	acknowledged uint64
	perSecond    float64
	known        bool // perSecond
}

// rates are what was counted per second. The zero value is unknown.
type rates struct {
	known                                     bool
	received, delivered, bytes, lost, refused float64 // per second
	cpu                                       float64 // percent of a core
}

// plus adds up rates. The sum of unknown and known rates is the known.
func (r rates) plus(more rates) rates {
	return rates{r.known || more.known, r.received + more.received, r.delivered + more.delivered,
		r.bytes + more.bytes, r.lost + more.lost, r.refused + more.refused, r.cpu + more.cpu}
}

// point is a rate of the last minutes.
type point struct {
	at        time.Time
	perSecond float64
}

// keep is the age of the oldest point.
const keep = 10 * time.Minute

// newInstance returns an instance that has not answered.
func newInstance(name string) *instance {
	return &instance{name: name, shards: make(map[shardID]*shard), targets: make(map[targetID]*target)}
}

// update takes an answer.
func (i *instance) update(a answer) {
	if a.err != nil {
		if i.err == nil {
			i.failing = a.at
		}
		i.err = a.err
		for _, s := range i.shards {
			s.rates = rates{}
		}
		for _, t := range i.targets {
			t.known = false
		}
		return
	}
	sameCounters := a.status.CountersID == i.status.CountersID
	if !i.at.IsZero() {
		i.note(a, sameCounters)
	}
	elapsed := a.at.Sub(i.at).Seconds()
	shards, targets := make(map[shardID]*shard), make(map[targetID]*target)
	for _, l := range a.status.Listeners {
		for _, r := range l.Shards {
			id := shardID{l.Name, r.Shard}
			s := i.shards[id]
			switch {
			case s == nil:
				s = newShard(a.history, id)
			case sameCounters && elapsed > 0:
				s.rates = perSecond(r.Since(s.reading), elapsed)
				s.recent = append(s.recent, point{a.at, s.rates.received})
			default:
				s.rates = rates{}
			}
			s.reading = r
			s.recent = slices.DeleteFunc(s.recent, func(p point) bool { return a.at.Sub(p.at) > keep })
			shards[id] = s
		}
		for _, o := range l.Outputs {
			id := targetID{l.Name, o.To}
			t := i.targets[id]
			switch {
			case t == nil:
				t = newTarget(a.history, id)
			case elapsed > 0 && o.Acknowledged >= t.acknowledged:
				t.perSecond, t.known = float64(o.Acknowledged-t.acknowledged)/elapsed, true
			default:
				t.known = false
			}
			t.acknowledged = o.Acknowledged
			targets[id] = t
		}
	}
	i.shards, i.targets = shards, targets
	i.status, i.at, i.err = a.status, a.at, nil
	i.overview = overview.Of(a.status, a.at)
}

// note sets the event if another process answers, or the process answers again.
func (i *instance) note(a answer, sameCounters bool) {
	switch replaced := a.status.PID != i.status.PID || !a.status.StartedAt.Equal(i.status.StartedAt); {
	case replaced && sameCounters:
		i.event = fmt.Sprintf("pid %d has taken over from pid %d: the counters go on", a.status.PID, i.status.PID)
	case replaced:
		i.event = fmt.Sprintf("pid %d has replaced pid %d: the counters begin anew", a.status.PID, i.status.PID)
	case i.err != nil:
		i.event = fmt.Sprintf("pid %d answers again", a.status.PID)
	default:
		return
	}
	i.eventAt = a.at
}

// perSecond returns the rates of counts within a number of seconds.
func perSecond(news metrics.Reading, seconds float64) rates {
	return rates{
		known:     true,
		received:  float64(news.Received) / seconds,
		delivered: float64(news.Delivered) / seconds,
		bytes:     float64(news.Bytes) / seconds,
		lost:      float64(news.Dropped.Lost()) / seconds,
		refused:   float64(news.Dropped.OnPurpose()) / seconds,
		cpu:       100 * news.CPUTime.Seconds() / seconds,
	}
}

// newShard returns a shard with the rates and points of a history.
func newShard(h history.History, id shardID) *shard {
	s := &shard{}
	for _, l := range h.Listeners {
		for _, of := range l.Shards {
			last := len(of.Received) - 1
			if l.Name != id.listener || of.Shard != id.shard || last < 0 {
				continue
			}
			step := time.Duration(h.StepSeconds) * time.Second
			for i, received := range of.Received {
				s.recent = append(s.recent, point{h.Now.Add(time.Duration(i-last) * step), float64(received)})
			}
			s.rates = rates{true, float64(of.Received[last]), float64(of.Delivered[last]), float64(of.Bytes[last]),
				float64(of.Lost[last]) / step.Seconds(), float64(of.Refused[last]), float64(of.CPUPercent[last])}
		}
	}
	return s
}

// newTarget returns a target with the rate of a history.
func newTarget(h history.History, id targetID) *target {
	t := &target{}
	for _, l := range h.Listeners {
		for _, o := range l.Outputs {
			if last := len(o.Acknowledged) - 1; l.Name == id.listener && o.To == id.to && last >= 0 {
				t.perSecond, t.known = float64(o.Acknowledged[last]), true
			}
		}
	}
	return t
}

// state returns the shortest word for the state of the process.
func (i *instance) state() string {
	switch {
	case i.at.IsZero() && i.err == nil:
		return "asked"
	case i.err != nil:
		return "away"
	}
	return i.status.Role
}

// knowsRates reports whether the rates of all shards are known.
func (i *instance) knowsRates() bool {
	for _, s := range i.shards {
		if !s.rates.known {
			return false
		}
	}
	return true
}
