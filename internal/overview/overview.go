// Package overview says what a status means: whether datagrams or records were lost, where, when and
// why, and the remedy. The status page, top and status show the same Overview.
package overview

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/metrics"
)

// Overview is the meaning of a status.
type Overview struct {
	State  State  `json:"state"`
	Text   string `json:"text"`   // one sentence without a period: the answer to "was anything lost?"
	Remedy string `json:"remedy"` // of the latest loss: a command to run or a value to change
	// Losses are the losses since the counters began, the latest first.
	Losses []Loss `json:"losses"`
	// Warnings are what may lead to losses: the process receives, but not as it should.
	Warnings []Warning `json:"warnings"`
}

// State is the shortest answer to "was anything lost?".
type State string

// States of an Overview.
const (
	NothingLost State = "nothing_lost" // since the counters began
	LostBefore  State = "lost_before"  // the latest loss is older than Recent
	Losing      State = "losing"       // a loss within Recent
	StandingBy  State = "standby"      // the active process has the counters
)

// Recent is how long a loss counts as present.
const Recent = time.Minute

// Loss is the losses for one reason, of a listener or of a target.
type Loss struct {
	Listener string    `json:"listener"`
	Target   string    `json:"target,omitempty"` // URL; "": datagrams of the listener
	Shards   []int     `json:"shards,omitempty"` // that have lost datagrams, the latest first
	Reason   string    `json:"reason"`           // kernel, output, lost_in_crash; of a target rejected, expired
	Count    uint64    `json:"count"`            // datagrams; of a target records
	Last     time.Time `json:"last,omitzero"`    // zero: not known
	Cause    string    `json:"cause"`
	Remedy   string    `json:"remedy"`
}

// isRecent returns whether the last loss was within Recent.
func (l Loss) isRecent(now time.Time) bool { return !l.Last.IsZero() && now.Sub(l.Last) <= Recent }

// Warning is a state that may lead to losses.
type Warning struct {
	Listener string `json:"listener"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy"`
}

// Of returns the overview of a status. Times in texts are in the location of now.
func Of(s metrics.Status, now time.Time) Overview {
	o := Overview{Losses: []Loss{}, Warnings: []Warning{}}
	for _, l := range s.Listeners {
		o.Losses = append(o.Losses, datagramLosses(l, now)...)
		o.Losses = append(o.Losses, recordLosses(l)...)
		o.Warnings = append(o.Warnings, warnings(l, now)...)
	}
	slices.SortStableFunc(o.Losses, func(a, b Loss) int { return b.Last.Compare(a.Last) })
	switch {
	case s.Role == metrics.Standby:
		o.State, o.Text = StandingBy, "Standby: the active process has the counters"
	case len(o.Losses) == 0:
		o.State, o.Text = NothingLost, "Nothing lost since "+format.Minute(since(s).In(now.Location()))
	default:
		last := o.Losses[0]
		o.State, o.Text, o.Remedy = LostBefore, last.text(now), last.Remedy
		if last.isRecent(now) {
			o.State = Losing
		}
		o.Text += more(len(o.Losses) - 1)
	}
	return o
}

// since returns when the counters began, or else when the process started.
func since(s metrics.Status) time.Time {
	if s.CountersSince.IsZero() {
		return s.StartedAt
	}
	return s.CountersSince
}

// LostSince returns the losses at or after a time. A loss at an unknown time was counted by a version
// before 0.1.0, and so before the process started.
func (o Overview) LostSince(t, started time.Time) []Loss {
	return slices.DeleteFunc(slices.Clone(o.Losses), func(l Loss) bool {
		return cmp.Or(l.Last, started).Before(t)
	})
}

// more refers to the losses that are not in the text.
func more(losses int) string {
	switch losses {
	case 0:
		return ""
	case 1:
		return " (1 more loss is listed)"
	}
	return fmt.Sprintf(" (%d more losses are listed)", losses)
}

// text returns the loss as the text of an Overview.
func (l Loss) text(now time.Time) string {
	at := "at an unknown time"
	if !l.Last.IsZero() {
		at = "last " + format.Ago(l.Last, now)
	}
	what := format.Count(l.Count)
	if l.Target != "" {
		what = format.Plural(int(l.Count), "record")
	}
	return fmt.Sprintf("%s lost %s, %s: %s", what, l.Where(), at, l.Cause)
}

// Where returns the place of a loss: "on syslog, shard 0", "at tcp://127.0.0.1:6514".
func (l Loss) Where() string {
	switch {
	case l.Target != "":
		return "at " + l.Target
	case len(l.Shards) > 1:
		return fmt.Sprintf("on %s, %d shards, last on shard %d", l.Listener, len(l.Shards), l.Shards[0])
	}
	return fmt.Sprintf("on %s, shard %d", l.Listener, l.Shards[0])
}
