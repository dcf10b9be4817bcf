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
	a.status, a.err = from.Status(ctx)
	a.at = time.Now()
	if first && a.err == nil {
		a.history, _ = from.History(ctx)
	}
	return a
}

// instance is what is known of an instance.
type instance struct {
	name     string         // address
	status   metrics.Status // the latest
	overview overview.Overview
	at       time.Time // of the status; zero: no answer yet
	err      error     // of the latest request
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

// newInstance returns an instance that has not answered.
func newInstance(name string) *instance {
	return &instance{name: name, shards: make(map[shardID]*shard), targets: make(map[targetID]*target)}
}

// update takes an answer.
func (i *instance) update(a answer) {
	if a.err != nil {
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
				s = newShard(a, id)
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
				t = newTarget(a, id)
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
