package top

import (
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/metrics"
)

// targetRow is a line of the table of targets.
type targetRow struct {
	name   string
	of     string // instance and listener
	target target
	output metrics.Output
}

// targetRows returns the rows of all targets, failing targets first.
func targetRows(instances []*instance) (list []targetRow) {
	urls := make(map[string]int)
	for _, i := range instances {
		for _, l := range i.status.Listeners {
			for _, o := range l.Outputs {
				list = append(list, targetRow{o.To, i.name + " " + l.Name, *i.targets[targetID{l.Name, o.To}], o})
				urls[o.To]++
			}
		}
	}
	for i := range list {
		if r := &list[i]; urls[r.output.To] > 1 {
			r.name += " of " + r.of
		}
	}
	slices.SortStableFunc(list, func(a, b targetRow) int {
		switch {
		case a.fails() == b.fails():
			return 0
		case a.fails():
			return -1
		}
		return 1
	})
	return list
}

func (r targetRow) fails() bool { return r.output.LastError != "" }

// targets returns the table of targets in at most so many lines, with an empty line before.
func (s *screen) targets(most int) (list []string) {
	all := targetRows(s.instances)
	if len(all) == 0 {
		return nil
	}
	shown := all
	if room := max(1, most-2); len(all) > room { // an empty line, the heading
		shown = all[:max(1, room-1)]
	}
	var text strings.Builder
	_ = targetTable(shown, s.now).Print(&text, "  ") // a strings.Builder has no errors
	for n, l := range slices.Collect(strings.Lines(text.String())) {
		l = strings.TrimSuffix(l, "\n")
		switch {
		case n == 0:
			l = inverse + pad(l, s.width, false) + plain
		case shown[n-1].fails():
			l = yellow + l + plain
		}
		list = append(list, l)
	}
	if more := len(all) - len(shown); more > 0 {
		list = append(list, "  and "+format.Plural(more, "more target"))
	}
	return append([]string{""}, list...)
}

// targetTable returns the table of targets.
func targetTable(list []targetRow, now time.Time) *cli.Table {
	table := cli.NewTable("lrrrrl", "target", "acked/s", "waiting", "oldest", "lost", "last error")
	for _, r := range list {
		rate, oldest := unknown, ""
		if r.target.known {
			rate = count(r.target.perSecond, false)
		}
		if r.output.Waiting > 0 {
			oldest = format.Ago(now.Add(-time.Duration(r.output.OldestWaiting*float64(time.Second))), now)
		}
		table.Row(r.name, rate, count(float64(r.output.Waiting), false), oldest,
			count(float64(r.output.Rejected+r.output.Expired), false), r.output.LastError)
	}
	return table
}
