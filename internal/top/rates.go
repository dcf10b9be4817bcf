package top

import (
	"time"

	"github.com/udpshard/udpshard/metrics"
)

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

// newShard returns a shard with the rates and points of the history of an answer. The newest point is
// at the time of the answer: the clock of the instance may be wrong.
func newShard(a answer, id shardID) *shard {
	s := &shard{}
	for _, l := range a.history.Listeners {
		for _, of := range l.Shards {
			last := len(of.Received) - 1
			if l.Name != id.listener || of.Shard != id.shard || last < 0 {
				continue
			}
			step := time.Duration(a.history.StepSeconds) * time.Second
			for i, received := range of.Received {
				s.recent = append(s.recent, point{a.at.Add(time.Duration(i-last) * step), float64(received)})
			}
			s.rates = rates{true, float64(of.Received[last]), float64(of.Delivered[last]), float64(of.Bytes[last]),
				float64(of.Lost[last]) / step.Seconds(), float64(of.Refused[last]), float64(of.CPUPercent[last])}
		}
	}
	return s
}

// newTarget returns a target with the rate of the history of an answer.
func newTarget(a answer, id targetID) *target {
	t := &target{}
	for _, l := range a.history.Listeners {
		for _, o := range l.Outputs {
			if last := len(o.Acknowledged) - 1; l.Name == id.listener && o.To == id.to && last >= 0 {
				t.perSecond, t.known = float64(o.Acknowledged[last]), true
			}
		}
	}
	return t
}
