package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

// row is a line of the table: an instance, a listener or a shard.
type row struct {
	id     string // stays the same from screen to screen
	name   string
	leaf   bool // hidden without shards
	title  bool // no numbers: the name of an instance and the text
	text   string
	rates  rates
	lost   uint64
	queue  float64 // percent of the receive buffer; of several shards the largest
	state  string  // one word or two; "": nothing to say
	detail string
	shards []*shard
	under  []row
}

// rows returns the tree of the rows. Summed adds up listeners of the same name of all instances, with
// a row for each instance in place of shards.
func rows(instances []*instance, summed bool, now time.Time) (tree []row) {
	for _, i := range instances {
		var listeners []row
		for _, l := range i.status.Listeners {
			listeners = append(listeners, listenerRow(i, l))
		}
		switch {
		case len(instances) == 1:
			return listeners
		case summed:
			for _, l := range listeners {
				tree = addListener(tree, i, l)
			}
		default:
			tree = append(tree, row{id: i.name, name: i.name, title: true, text: i.headline(now), detail: i.verdict(now), under: listeners})
		}
	}
	return tree
}

// addListener adds the row of a listener of an instance to the sums.
func addListener(sums []row, from *instance, l row) []row {
	at := slices.IndexFunc(sums, func(sum row) bool { return sum.name == l.name })
	if at < 0 {
		at = len(sums)
		sums = append(sums, row{id: "all " + l.name, name: l.name})
	}
	of := l
	of.name, of.leaf, of.under = from.name, true, nil
	if from.err != nil {
		of.state = "away"
	}
	sum := &sums[at]
	sum.add(of)
	sum.detail = fmt.Sprintf("%s: the sum of %s", sum.name, format.Plural(len(sum.under), "instance"))
	return sums
}

// add adds a row below r to the numbers of r.
func (r *row) add(under row) {
	r.rates, r.lost, r.queue = r.rates.plus(under.rates), r.lost+under.lost, max(r.queue, under.queue)
	r.shards, r.under = append(r.shards, under.shards...), append(r.under, under)
	r.state = cmp.Or(r.state, under.state)
}

// listenerRow returns the row of a listener, with a row for each shard below.
func listenerRow(from *instance, l metrics.ListenerStatus) row {
	r := row{id: from.name + " " + l.Name, name: l.Name}
	for _, reading := range l.Shards {
		s := from.shards[shardID{l.Name, reading.Shard}]
		r.add(row{
			id: fmt.Sprint(r.id, " ", reading.Shard), name: strconv.Itoa(reading.Shard), leaf: true,
			rates: s.rates, lost: reading.Dropped.Lost(), queue: percent(reading.QueueBytes, reading.BufferBytes),
			state: overview.ShardState(l, reading), detail: shardDetail(l, reading), shards: []*shard{s},
		})
	}
	r.state, r.detail = listenerState(l), listenerDetail(l)
	return r
}

func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// listenerState returns the worst that the status says of a listener.
func listenerState(l metrics.ListenerStatus) string {
	waits := 0
	for _, r := range l.Shards {
		if r.WaitsForOutput {
			waits++
		}
	}
	switch stalled := len(l.Steering.StalledShards); {
	case waits > 0:
		return fmt.Sprint(waits, " waits")
	case stalled > 0:
		return fmt.Sprint(stalled, " stalled")
	case len(l.Steering.SprayedSources) > 0:
		return "sprays"
	case l.Skew != "":
		return "skewed"
	}
	return ""
}

// listenerDetail describes a listener.
func listenerDetail(l metrics.ListenerStatus) string {
	parts := []string{fmt.Sprintf("%s: %s at %s, steer %s", l.Name, l.Protocol, l.Address, l.Steer)}
	if l.Skew != "" {
		parts = append(parts, l.Skew)
	}
	if sources := l.Steering.SprayedSources; len(sources) > 0 {
		parts = append(parts, "sprays "+strings.Join(sources, ", "))
	}
	if len(l.TopSenders) > 0 {
		s := l.TopSenders[0]
		parts = append(parts, fmt.Sprintf("largest sender %s, %s/s", s.Source, format.Count(s.PerSecond)))
	}
	return strings.Join(append(parts, drops(metrics.Sum(l.Shards))...), "; ")
}

// shardDetail describes a shard.
func shardDetail(l metrics.ListenerStatus, r metrics.Reading) string {
	parts := []string{fmt.Sprintf("%s, shard %d: CPU %d, thread %d, queue %s of %s", l.Name, r.Shard, r.CPU, r.Thread,
		format.Size(r.QueueBytes), format.Size(r.BufferBytes))}
	if r.InFlight > 0 {
		parts = append(parts, format.Count(r.InFlight)+" in flight")
	}
	return strings.Join(append(parts, drops(r)...), "; ")
}

// drops lists the drop reasons of a reading that have counted.
func drops(r metrics.Reading) (list []string) {
	for _, reason := range metrics.DropReasons() {
		if n := reason.Value(r); n > 0 {
			list = append(list, reason.Name+" "+format.Count(n))
		}
	}
	if len(list) > 0 {
		list[0] = "dropped: " + list[0]
	}
	return list
}

// sortRows sorts the rows of each level by a column, the largest first, or by the order of the status.
// Reverse turns the order around.
func sortRows(tree []row, by column, reverse bool) {
	if by.value != nil {
		slices.SortStableFunc(tree, func(a, b row) int { return cmp.Compare(by.value(b), by.value(a)) })
	}
	if reverse {
		slices.Reverse(tree)
	}
	for i := range tree {
		sortRows(tree[i].under, by, reverse)
	}
}

// line is a row with its place in the tree.
type line struct {
	row
	depth int
	above string // ID of the row above; "": the top
}

// flatten returns the rows of a tree below a row, with or without shards.
func flatten(tree []row, shards bool, depth int, above string) (lines []line) {
	for _, r := range tree {
		if r.leaf && !shards {
			continue
		}
		lines = append(lines, line{r, depth, above})
		lines = append(lines, flatten(r.under, shards, depth+1, r.id)...)
	}
	return lines
}
