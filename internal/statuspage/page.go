package statuspage

import (
	"fmt"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

const (
	// rateSeconds is the time of which rates and CPU time are the mean.
	rateSeconds = 5
	// shareSeconds is the time of which the shares of shards are: long enough for a quiet listener.
	shareSeconds = 60
	// shownWarnings is how many warnings are shown at first.
	shownWarnings = 5
	// openListeners is the largest number of listeners whose details are open at first.
	openListeners = 3
)

// page is the content of the status page, as texts. The template only puts the texts in their
// places.
type page struct {
	Host   string
	Assets string // version of the files of the page
	Title  string
	Now    moment
	Facts  []fact

	Verdict      overview.Overview
	Announcement string // for screen readers: changes only if the verdict changes, not with its numbers
	Account      string // what became of all datagrams
	Warnings     []overview.Warning
	MoreWarnings []overview.Warning
	Losses       []loss
	Since        string // when the counters began

	Standby   bool // the listeners have no numbers
	Listeners []listener
}

// fact is a line about the process.
type fact struct{ Name, Text string }

// moment is a time for people and for programs.
type moment struct{ Text, Attr string }

// loss is a row of the list of losses.
type loss struct {
	overview.Loss
	Lost, Unit string
	Ago        moment
}

// newPage returns the page of a status. long is the history of the listeners, recent the history of
// their shards in the last shareSeconds. Times are in the location of now.
func newPage(s metrics.Status, long, recent history.History, now time.Time) *page {
	p := &page{
		Verdict: overview.Of(s, now), Standby: s.Role == metrics.Standby,
		Now: moment{now.Format("2006-01-02 15:04:05 MST"), now.UTC().Format(time.RFC3339)},
	}
	began := s.CountersSince
	if began.IsZero() {
		began = s.StartedAt
	}
	p.Since = format.Minute(began.In(now.Location())) + now.Format(" MST")
	p.Facts = facts(s, p.Since, now)
	p.Title, p.Announcement = announce(p.Verdict)
	p.Account = account(s)
	n := min(len(p.Verdict.Warnings), shownWarnings)
	p.Warnings, p.MoreWarnings = p.Verdict.Warnings[:n], p.Verdict.Warnings[n:]
	for _, l := range p.Verdict.Losses {
		unit := "datagrams"
		if l.Target != "" {
			unit = "records"
		}
		p.Losses = append(p.Losses, loss{l, format.Count(l.Count), unit, ago(l.Last, now)})
	}
	longOf, recentOf := periods(long), periods(recent)
	for i, l := range s.Listeners {
		shown := newListener(l, longOf[l.Name], recentOf[l.Name], now)
		shown.ID, shown.Open = fmt.Sprintf("listener-%d", i), len(s.Listeners) <= openListeners
		p.Listeners = append(p.Listeners, shown)
	}
	return p
}

// period is a part of the history of a listener; the zero period is empty.
type period struct {
	history.Listener
	step int // in seconds
}

// periods returns the parts of a history by the names of the listeners.
func periods(h history.History) map[string]period {
	named := make(map[string]period, len(h.Listeners))
	for _, l := range h.Listeners {
		named[l.Name] = period{l, h.StepSeconds}
	}
	return named
}

// facts returns the lines about the process.
func facts(s metrics.Status, since string, now time.Time) []fact {
	role := map[string]string{
		metrics.Active:   "active",
		metrics.Standby:  "standby: holds the sockets of the active process, and waits",
		metrics.Draining: "draining: reads what is queued, writes it, and exits",
	}[s.Role]
	settings := "read " + format.Ago(s.Config.LastReloadSuccessAt, now)
	if !s.Config.LastReloadSuccessful {
		settings += "; the last reload failed"
	}
	list := []fact{
		{"Role", role},
		{"Version", s.Version},
		{"Uptime", uptime(now.Sub(s.StartedAt))},
		{"PID", fmt.Sprint(s.PID)},
		{"Configuration", settings},
	}
	if s.Role == metrics.Standby { // the active process has the rest
		return list
	}
	t := s.Takeovers
	takeovers := format.Count(t.Upgrade + t.Stop + t.Died + t.Stalled + t.Restart)
	if t.Last != nil {
		takeovers += fmt.Sprintf(", last %s: %s", format.Ago(t.Last.At, now), t.Last.Reason)
	}
	standbys := "none"
	if len(s.Standbys) > 0 {
		var names []string
		for _, standby := range s.Standbys {
			names = append(names, fmt.Sprintf("PID %d (%s)", standby.PID, standby.Version))
		}
		standbys = fmt.Sprintf("%d: %s", len(names), strings.Join(names, ", "))
	}
	return append(list, fact{"Counters since", since}, fact{"Takeovers", takeovers}, fact{"Standbys", standbys})
}

// account says what became of all datagrams: the equations of the ledger, for all listeners.
func account(s metrics.Status) string {
	if s.Role == metrics.Standby {
		return "This process receives nothing until it takes over. The page of the active process has the numbers."
	}
	var all []metrics.Reading
	for _, l := range s.Listeners {
		all = append(all, l.Shards...)
	}
	sum := metrics.Sum(all)
	return fmt.Sprintf("%s datagrams were sent here: %s delivered, %s in flight, %s dropped on purpose, %s lost.",
		format.Count(sum.Received+sum.Dropped.Kernel), format.Count(sum.Delivered), format.Count(sum.InFlight),
		format.Count(sum.Dropped.OnPurpose()), format.Count(sum.Dropped.Lost()))
}

// announce returns the state of a verdict in a few words, and a sentence that stays the same while
// only numbers change.
func announce(o overview.Overview) (state, sentence string) {
	switch o.State {
	case overview.NothingLost:
		return "Nothing lost", "Nothing lost."
	case overview.StandingBy:
		return "Standby", "Standby."
	case overview.Losing:
		state = "Losing"
	default:
		state = "Lost before"
	}
	last := o.Losses[0]
	return state, fmt.Sprintf("%s %s: %s. Remedy: %s.", state, last.Where(), last.Cause, last.Remedy)
}

// uptime writes a duration with two units at most: 42 s, 5 min, 3 h 20 min, 12 d 3 h.
func uptime(d time.Duration) string {
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%s d %d h", format.Count(uint64(days)), hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min", minutes)
	}
	return fmt.Sprintf("%d s", max(0, d/time.Second))
}

// ago returns how long ago a time was; a dash for the zero time.
func ago(t, now time.Time) moment {
	if t.IsZero() {
		return moment{Text: "–"}
	}
	return moment{format.Ago(t, now), t.UTC().Format(time.RFC3339)}
}
