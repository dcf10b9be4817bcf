package history

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// History is the history at one moment, as /api/v1/history has it. All lists of numbers have the
// same length: one number for each step, oldest first. A listener, shard or target that is younger
// than the history has zeros before.
type History struct {
	Now         time.Time  `json:"now,omitzero"` // end of the newest step; zero: the history is empty
	StepSeconds int        `json:"step_seconds"`
	Listeners   []Listener `json:"listeners"`
}

// Series is the numbers of a listener or shard. A listener has the sums of its shards, and the
// largest QueuePercent.
type Series struct {
	Received     []uint64 `json:"received"`  // datagrams per second
	Delivered    []uint64 `json:"delivered"` // datagrams per second
	Bytes        []uint64 `json:"bytes"`     // received bytes per second
	Lost         []uint64 `json:"lost"`      // datagrams in the step, so that no loss is rounded to 0
	Refused      []uint64 `json:"refused"`   // datagrams per second that were dropped on purpose
	CPUPercent   []uint64 `json:"cpu_percent"`
	QueuePercent []uint64 `json:"queue_percent"` // largest fill of the receive buffer in the step
}

// Listener is the history of a listener.
type Listener struct {
	Name string `json:"name"`
	Series
	Shards  []Shard  `json:"shards,omitempty"`
	Outputs []Output `json:"outputs"`
}

// Shard is the history of a shard.
type Shard struct {
	Shard int `json:"shard"`
	Series
}

// Output is the history of a target.
type Output struct {
	To           string   `json:"to"`           // the URL, without secrets
	Acknowledged []uint64 `json:"acknowledged"` // records per second
	Waiting      []uint64 `json:"waiting"`      // records at the end of the step
}

// Snapshot returns the steps of the last seconds; 0: all steps. With shards, listeners have the
// history of each shard.
func (r *Recorder) Snapshot(last int, shards bool) History {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := r.length
	if last > 0 {
		steps = min(steps, (min(last, span)+r.step-1)/r.step) // rounded up
	}
	h := History{StepSeconds: r.step, Listeners: make([]Listener, 0, len(r.listeners))}
	if r.length > 0 {
		h.Now = r.recorded.UTC().Truncate(time.Millisecond)
	}
	for _, from := range r.listeners {
		l := Listener{Name: from.name, Series: r.series(steps, from.shards), Outputs: []Output{}}
		if shards {
			for _, s := range from.shards {
				l.Shards = append(l.Shards, Shard{s.index, r.series(steps, []*shard{s})})
			}
		}
		for _, t := range from.targets {
			o := Output{t.to, make([]uint64, steps), make([]uint64, steps)}
			for i := range steps {
				at := r.at(steps, i)
				o.Acknowledged[i] = perSecond(uint64(t.ring[at].acknowledged), r.seconds[at])
				o.Waiting[i] = t.ring[at].waiting
			}
			l.Outputs = append(l.Outputs, o)
		}
		h.Listeners = append(h.Listeners, l)
	}
	return h
}

// at returns the position in the rings of the i-th of the newest steps.
func (r *Recorder) at(steps, i int) int { return (r.newest - steps + 1 + i) % len(r.seconds) }

// series adds up the newest steps of shards.
func (r *Recorder) series(steps int, shards []*shard) (sum Series) {
	for _, list := range []*[]uint64{&sum.Received, &sum.Delivered, &sum.Bytes, &sum.Lost, &sum.Refused,
		&sum.CPUPercent, &sum.QueuePercent} {
		*list = make([]uint64, steps)
	}
	for i := range steps {
		at := r.at(steps, i)
		for _, s := range shards {
			p := &s.ring[at]
			sum.Received[i] += uint64(p.received)
			sum.Delivered[i] += uint64(p.delivered)
			sum.Bytes[i] += p.bytes
			sum.Lost[i] += uint64(p.lost)
			sum.Refused[i] += uint64(p.refused)
			sum.CPUPercent[i] += uint64(p.cpu)
			sum.QueuePercent[i] = max(sum.QueuePercent[i], uint64(p.queue))
		}
		for _, list := range [][]uint64{sum.Received, sum.Delivered, sum.Bytes, sum.Refused} {
			list[i] = perSecond(list[i], r.seconds[at])
		}
		sum.CPUPercent[i] = (sum.CPUPercent[i] + 50) / 100
	}
	return sum
}

// perSecond returns n by seconds, rounded. A step without reading has neither.
func perSecond(n uint64, seconds float32) uint64 {
	if seconds == 0 {
		return 0
	}
	return uint64(math.Round(float64(n) / float64(seconds)))
}

// ServeHTTP answers GET and HEAD with a Snapshot as JSON. The parameter last is a number of seconds;
// shards=false leaves out the shards.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if request.Method != http.MethodGet && request.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	last, shards, err := parseQuery(request.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// Encode fails only if the client has closed the connection.
	_ = json.NewEncoder(w).Encode(r.Snapshot(last, shards))
}

// parseQuery returns the arguments of Snapshot.
func parseQuery(raw string) (last int, shards bool, err error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return 0, false, err
	}
	if query.Has("last") {
		if last, err = strconv.Atoi(query.Get("last")); err != nil || last < 1 {
			return 0, false, errors.New("last: not a number of seconds from 1")
		}
	}
	shards = true
	if query.Has("shards") {
		if shards, err = strconv.ParseBool(query.Get("shards")); err != nil {
			return 0, false, errors.New("shards: neither true nor false")
		}
	}
	return last, shards, nil
}
