package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// entrant is a contender under a load, with its measurements.
type entrant struct {
	contender
	load   load
	trials []trial
}

func against(d load, contenders ...contender) []*entrant {
	var entrants []*entrant
	for _, c := range contenders {
		entrants = append(entrants, &entrant{contender: c, load: d})
	}
	return entrants
}

// rounds measures each entrant once a round, in alternating order, so that a drift of the machine
// favors no entrant.
func (l *lab) rounds(ctx context.Context, what string, entrants []*entrant) error {
	for i := range l.pairs {
		order := slices.Clone(entrants)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, e := range order {
			t, err := l.try(ctx, e.contender, e.load)
			if err != nil {
				return err
			}
			e.trials = append(e.trials, t)
		}
		l.progress(fmt.Sprintf("%s %d/%d:", what, i+1, l.pairs), entrants, i)
	}
	return nil
}

// progress prints a round.
func (l *lab) progress(line string, entrants []*entrant, i int) {
	first := entrants[0].trials[i].perDatagram()
	for n, e := range entrants {
		t := e.trials[i]
		line += fmt.Sprintf("  %s %.3f µs", e.name, t.perDatagram())
		if n > 0 {
			line += fmt.Sprintf(" ×%.2f", t.perDatagram()/first)
		}
		if t.lost() > 0 {
			line += fmt.Sprintf(" lost %.2f%% (kernel %.2f%%)", 100*float64(t.lost())/float64(t.sent), 100*float64(t.dropped)/float64(t.sent))
		}
	}
	l.logf("%s", line)
}

func (e *entrant) each(f func(trial) float64) []float64 {
	values := make([]float64, len(e.trials))
	for i, t := range e.trials {
		values[i] = f(t)
	}
	return values
}

func (e *entrant) costs() []float64 { return e.each(trial.perDatagram) }

// to returns the ratio of e's cost to the cost of another entrant.
func (e *entrant) to(other *entrant) spread { return ratios(e.costs(), other.costs()) }

// lost returns the share of all datagrams that did not arrive.
func (e *entrant) lost() float64 {
	var sent, lost uint64
	for _, t := range e.trials {
		sent += t.sent
		lost += t.lost()
	}
	return float64(lost) / float64(max(sent, 1))
}

// received returns the median rate at which datagrams arrived, a second.
func (e *entrant) received() int {
	return int(newSpread(e.each(func(t trial) float64 { return t.rate * float64(t.received) / float64(t.sent) })).median)
}

// rows are a table's lines, with ratios to the first entrant.
func rows(entrants []*entrant) [][]string {
	var rows [][]string
	for i, e := range entrants {
		ratio := "1"
		if i > 0 {
			ratio = e.to(entrants[0]).String()
		}
		rows = append(rows, []string{e.load.String(), e.name, thousands(e.received()), fmt.Sprintf("%.3f µs", newSpread(e.costs()).median), ratio, percent(e.lost())})
	}
	return rows
}

func head(first string) []string {
	return []string{"load", "receiver", "received/s", "CPU a datagram", "to " + first, "lost"}
}

// commands are the distinct command lines of entrants.
func (l *lab) commands(entrants []*entrant) string {
	var seen []string
	add := func(line string) {
		if line = "$ " + line; !slices.Contains(seen, line) {
			seen = append(seen, line)
		}
	}
	for _, e := range entrants {
		add(l.command(e.contender))
	}
	for _, e := range entrants {
		if e.load.dns {
			add(l.shown(e.load.queryCommand(l, shownPort)))
		} else {
			add(l.shown(e.load.command(l, at(shownPort))))
		}
	}
	return "```console skip bench/run runs it\n" + strings.Join(seen, "\n") + "\n```\n"
}

// shownPort stands for whichever was free.
const shownPort = 5514

// command returns a contender's command line for the report.
func (l *lab) command(c contender) string {
	argv, err := c.command(shownPort, l.path("records.json"))
	if err != nil {
		return err.Error()
	}
	return l.shown(argv)
}
