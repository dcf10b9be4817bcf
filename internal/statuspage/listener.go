package statuspage

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/metrics"
)

const (
	// tableShards is the largest number of shards in one table. More shards are in tables beside each
	// other, three at most.
	tableShards = 16
	tables      = 3
	// shownSenders is how many senders are on the page; the status has more.
	shownSenders = 5
)

// listener is a listener on the page.
type listener struct {
	ID      string
	Name    string
	About   string // address, protocol, shards
	Open    bool   // the details are open at first
	Figures []figure
	Chart   chart

	// For the table of all listeners.
	Received, Delivered, Lost string
	Losing                    bool

	ShardTables []shardTable
	Steering    []string // sentences
	Drops       []dropGroup
	Senders     []sender
	Refused     []refused
	Targets     []target
}

// figure is a number with its name: "Received", "120,431", "/s", "1,234,567 in total".
type figure struct {
	Name, Value, Unit, Note string
	Bad                     bool
}

// shardTable is a table of some shards, from the first to the last.
type shardTable struct {
	First, Last int
	Shards      []shard
}

// shard is a row of a table of shards.
type shard struct {
	Shard             int
	Share, CPU, Queue bar
	Lost              string
	Losing            bool
	State             string // in words; "": as it should be
}

// bar is a percentage as text and as the width of a bar, at most 100.
type bar struct {
	Text  string
	Width uint64
}

// newBar returns the bar of a part of a whole that is not 0. Small percentages have a decimal.
func newBar(part, whole uint64) bar {
	percent, decimals := 100*float64(part)/float64(whole), 0
	if percent > 0 && percent < 9.95 {
		decimals = 1
	}
	return bar{strconv.FormatFloat(percent, 'f', decimals, 64) + "%", uint64(min(100, math.Round(percent)))}
}

// dropGroup is the drops of one kind.
type dropGroup struct {
	Name string
	Bad  bool // losses
	Rows []drop
}

// drop is the drops for one reason.
type drop struct {
	Name, Help, Count string
	Last              moment
	Zero              bool
}

// sender is a row of the senders that send most.
type sender struct{ Source, PerSecond, Percent, Shards string }

// refused is a row of the sources that were refused most.
type refused struct {
	Source, Why, Count, PerSecond string
	Last                          moment
}

// target is a target of a listener.
type target struct {
	To      string
	Figures []figure
	Error   string
}

// newListener returns a listener without ID.
func newListener(l metrics.ListenerStatus, long, recent period, now time.Time) listener {
	total := metrics.Sum(l.Shards)
	v := listener{
		Name:  l.Name,
		About: fmt.Sprintf("%s at %s, %s", l.Protocol, l.Address, format.Plural(len(l.Shards), "shard")),
		Chart: newChart(long.Series, long.step),
		Lost:  format.Count(total.Dropped.Lost()), Losing: total.Dropped.Lost() > 0,
		ShardTables: shardTables(l, recent),
		Steering:    steering(l),
		Drops:       drops(total, now),
		Senders:     topSenders(l),
		Refused:     mostRefused(l, now),
	}
	rate := func(list []uint64) string { return format.Count(mean(list, rateSeconds, long.step)) }
	bytes := format.Size(mean(long.Bytes, rateSeconds, long.step))
	received, delivered, unit := rate(long.Received), rate(long.Delivered), "/s"
	if len(long.Received) == 0 {
		received, delivered, bytes, unit = "–", "–", "–", ""
	}
	v.Received, v.Delivered = received+unit, delivered+unit
	v.Figures = []figure{
		{Name: "Received", Value: received, Unit: unit, Note: format.Count(total.Received) + " in total"},
		{Name: "Delivered", Value: delivered, Unit: unit, Note: format.Count(total.Delivered) + " in total"},
		{Name: "Payload", Value: bytes, Unit: unit, Note: format.Size(total.Bytes) + " in total"},
		{Name: "In flight", Value: format.Count(total.InFlight), Note: "not yet delivered"},
		{Name: "Lost", Value: v.Lost, Note: share(total.Dropped.Lost(), total.Received+total.Dropped.Kernel), Bad: v.Losing},
	}
	for _, o := range l.Outputs {
		v.Targets = append(v.Targets, newTarget(o, long))
	}
	return v
}

func topSenders(l metrics.ListenerStatus) (list []sender) {
	for _, s := range l.TopSenders[:min(len(l.TopSenders), shownSenders)] {
		shards := "one"
		if s.Sprayed {
			shards = "all (sprayed)"
		}
		list = append(list, sender{s.Source, format.Count(s.PerSecond) + "/s", fmt.Sprintf("%d%%", s.Percent), shards})
	}
	return list
}

func mostRefused(l metrics.ListenerStatus, now time.Time) (list []refused) {
	for _, r := range l.RefusedSenders[:min(len(l.RefusedSenders), shownSenders)] {
		var why []string
		if r.NotAllowed > 0 {
			why = append(why, format.Count(r.NotAllowed)+" not allowed")
		}
		if r.RateLimited > 0 {
			why = append(why, format.Count(r.RateLimited)+" over the rate limit")
		}
		list = append(list, refused{r.Source, strings.Join(why, ", "), format.Count(r.NotAllowed + r.RateLimited),
			format.Count(r.PerSecond) + "/s", ago(r.LastAt, now)})
	}
	return list
}

// share says which part of all datagrams was lost.
func share(lost, sent uint64) string {
	part := 100 * float64(lost) / float64(max(1, sent))
	switch {
	case sent == 0:
		return "no datagrams yet"
	case lost == 0:
		return "nothing lost"
	case part < 0.01:
		return "less than 0.01% of all"
	}
	return fmt.Sprintf("%.2f%% of all", part)
}

// shardTables returns the shards of a listener.
func shardTables(l metrics.ListenerStatus, recent period) (list []shardTable) {
	all := sum(recent.Received)
	rows := make([]shard, len(l.Shards))
	for i, r := range l.Shards {
		none := bar{Text: "–"}
		lost := r.Dropped.Lost()
		row := shard{Shard: r.Shard, Share: none, CPU: none, Queue: none,
			Lost: format.Count(lost), Losing: lost > 0, State: state(l.Steering, r)}
		if i < len(recent.Shards) && len(recent.Received) > 0 {
			h := recent.Shards[i]
			row.CPU = newBar(mean(h.CPUPercent, rateSeconds, recent.step), 100)
			if all > 0 {
				row.Share = newBar(sum(h.Received), all)
			}
		}
		if r.BufferBytes > 0 {
			row.Queue = newBar(r.QueueBytes, r.BufferBytes)
		}
		rows[i] = row
	}
	size := max(tableShards, (len(rows)+tables-1)/tables)
	for part := range slices.Chunk(rows, size) {
		list = append(list, shardTable{part[0].Shard, part[len(part)-1].Shard, part})
	}
	return list
}

// state says what is not as it should be with a shard.
func state(s metrics.Steering, r metrics.Reading) string {
	var words []string
	switch {
	case r.WaitsForOutput:
		words = append(words, "waits for its output")
	case slices.Contains(s.StalledShards, r.Shard):
		words = append(words, "stalled")
	}
	if slices.Contains(s.AvoidedShards, r.Shard) {
		words = append(words, "avoided")
	}
	return strings.Join(words, ", ")
}

// modes says in words which shard gets a datagram, by the mode that is in force.
var modes = map[string]string{
	"auto":   "each sender has a shard, until that shard can't keep up",
	"hash":   "the kernel's hash of addresses and ports chooses the shard",
	"source": "each source address has a shard",
	"cpu":    "the CPU that received the datagram chooses the shard",
	"spray":  "each datagram goes to a shard at random",
}

// steering says how datagrams are spread over the shards.
func steering(l metrics.ListenerStatus) (sentences []string) {
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	s := l.Steering
	if s.InForce != "" {
		say("Steering %s: %s.", s.InForce, modes[s.InForce])
	}
	if s.InForce != "" && s.InForce != l.Steer {
		say("The settings ask for %s.", l.Steer)
	}
	switch {
	case s.Buckets > 0 && s.MovedBuckets == 0 && len(s.SprayedSources) == 0:
		say("No sender is moved or sprayed.")
	case s.MovedBuckets > 0:
		say("%s of %s sets of senders are moved to other shards.",
			format.Count(uint64(s.MovedBuckets)), format.Count(uint64(s.Buckets)))
	}
	if n := len(s.SprayedSources); n > shownSenders {
		say("Sprayed over all shards: %s and %d more.", strings.Join(s.SprayedSources[:shownSenders], ", "), n-shownSenders)
	} else if n > 0 {
		say("Sprayed over all shards: %s.", strings.Join(s.SprayedSources, ", "))
	}
	if len(s.StalledShards) > 0 {
		say("Stalled: %s.", numbers(s.StalledShards))
	}
	if len(s.AvoidedShards) > 0 {
		say("Avoided (no datagrams, because of a stall now or just before): %s.", numbers(s.AvoidedShards))
	}
	if l.Skew != "" {
		say("Uneven: %s.", l.Skew)
	}
	return sentences
}

// numbers lists shards: shard 3, shards 3, 4 and so on.
func numbers(shards []int) string {
	text := "shard "
	if len(shards) > 1 {
		text = "shards "
	}
	return text + strings.Trim(strings.ReplaceAll(fmt.Sprint(shards), " ", ", "), "[]")
}

// dropHelp says in a few words what each drop reason means.
var dropHelp = map[string]string{
	"kernel":        "the receive buffer was full",
	"output":        "the output did not accept the record",
	"lost_in_crash": "read by a process that died",
	"not_allowed":   "the sender is not in allow",
	"rate_limited":  "the sender exceeded rate_limit",
	"malformed":     "DNS messages that must not be answered",
	"reply":         "the reply could not be sent",
}

// drops returns the drops of a listener: losses apart from what was dropped on purpose, and from
// marks on delivered datagrams.
func drops(total metrics.Reading, now time.Time) []dropGroup {
	lost, refused := dropGroup{Name: "Lost", Bad: true}, dropGroup{Name: "Dropped on purpose"}
	marked := dropGroup{Name: "Delivered, with a mark"}
	add := func(group *dropGroup, name, help string, n uint64, last time.Time) {
		group.Rows = append(group.Rows, drop{name, help, format.Count(n), ago(last, now), n == 0})
	}
	for _, c := range metrics.DropReasons() {
		group := &refused
		switch {
		case c.IsLoss():
			group = &lost
		case c.Drop == metrics.ReplyOnly:
			group = &marked
		}
		add(group, c.Name, dropHelp[c.Name], c.Value(total), c.LastDrop(total.LastDropped))
	}
	add(&marked, "truncated", "cut to max_datagram", total.Truncated, time.Time{})
	add(&marked, "unparsed", "no grammar fits", total.Unparsed, time.Time{})
	add(&marked, "malformed_header", "the header breaks the grammar", total.MalformedHeader, time.Time{})
	return []dropGroup{lost, refused, marked}
}

// newTarget returns a target with the rate of its acknowledgements.
func newTarget(o metrics.Output, long period) target {
	t := target{To: o.To, Error: o.LastError}
	rate, unit := "–", ""
	for _, h := range long.Outputs {
		if h.To == o.To && len(h.Acknowledged) > 0 {
			rate, unit = format.Count(mean(h.Acknowledged, rateSeconds, long.step)), "/s"
		}
	}
	oldest := "no record"
	if o.Waiting > 0 {
		oldest = "oldest: " + uptime(time.Duration(o.OldestWaiting*float64(time.Second)))
	}
	t.Figures = []figure{
		{Name: "Acknowledged", Value: rate, Unit: unit, Note: format.Count(o.Acknowledged) + " in total"},
		{Name: "Waiting", Value: format.Count(o.Waiting), Note: format.Size(uint64(max(0, o.WaitingBytes))) + ", " + oldest},
		{Name: "Rejected", Value: format.Count(o.Rejected), Note: "refused for good", Bad: o.Rejected > 0},
		{Name: "Expired", Value: format.Count(o.Expired), Note: "removed from the spool", Bad: o.Expired > 0},
		{Name: "Retries", Value: format.Count(o.Retries), Note: format.Count(o.Resent) + " records resent"},
	}
	return t
}
