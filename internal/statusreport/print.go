package statusreport

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/overview"
	"github.com/udpshard/udpshard/metrics"
)

// Print prints the report as text. Times are in the local zone.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintln(w, cli.Printable(r.Overview.Text))
	if r.Overview.Remedy != "" {
		fmt.Fprintln(w, "remedy: "+cli.Printable(r.Overview.Remedy))
	}
	fmt.Fprintln(w)
	r.facts().Print(w, "")
	r.printLosses(w)
	r.printWarnings(w)
	for _, l := range r.Listeners {
		printListener(w, l)
		r.printRefused(w, l)
		printOutputs(w, l)
	}
}

// facts is the table of what is known of the process.
func (r *Report) facts() *cli.Table {
	facts := cli.NewTable("ll")
	facts.Row("instance", fmt.Sprintf("%s, %s, pid %d, version %s", r.instance, r.Role, r.PID, r.Version))
	facts.Row("running", fmt.Sprintf("%s, since %s", r.uptime(), minute(r.StartedAt)))
	facts.Row("counters", "since "+minute(r.countersSince()))
	facts.Row("takeovers", r.takeovers())
	for _, s := range r.Standbys {
		facts.Row("standby", fmt.Sprintf("pid %d, version %s", s.PID, s.Version))
	}
	return facts
}

func minute(t time.Time) string { return format.Minute(t.Local()) }

// takeovers lists the number of takeovers by reason, and the last one.
func (r *Report) takeovers() string {
	var counts []string
	t := r.Takeovers
	for _, reason := range []struct {
		name  string
		count uint64
	}{{"upgrade", t.Upgrade}, {"stop", t.Stop}, {"died", t.Died}, {"stalled", t.Stalled}, {"restart", t.Restart}} {
		if reason.count > 0 {
			counts = append(counts, reason.name+" "+format.Count(reason.count))
		}
	}
	if len(counts) == 0 {
		return "none"
	}
	text := strings.Join(counts, ", ")
	if t.Last != nil {
		text += fmt.Sprintf("; last %s %s", t.Last.Reason, format.Ago(t.Last.At, r.now))
	}
	return text
}

func (r *Report) printLosses(w io.Writer) {
	if len(r.Overview.Losses) == 0 {
		return
	}
	losses := cli.NewTable("rlllll", "lost", "where", "reason", "last", "cause", "remedy")
	for _, l := range r.Overview.Losses {
		last := "unknown"
		if !l.Last.IsZero() {
			last = format.Ago(l.Last, r.now)
		}
		losses.Row(format.Count(l.Count), l.Where(), l.Reason, last, l.Cause, l.Remedy)
	}
	printTable(w, losses)
}

func (r *Report) printWarnings(w io.Writer) {
	if len(r.Overview.Warnings) == 0 {
		return
	}
	warnings := cli.NewTable("ll", "warning", "remedy")
	for _, v := range r.Overview.Warnings {
		warnings.Row(v.Text, v.Remedy)
	}
	printTable(w, warnings)
}

func printTable(w io.Writer, t *cli.Table) {
	fmt.Fprintln(w)
	t.Print(w, "")
}

// printListener prints the counters of each shard of a listener, and the senders.
func printListener(w io.Writer, l metrics.ListenerStatus) {
	fmt.Fprintln(w)
	fmt.Fprintln(w, cli.Printable(fmt.Sprintf("listener %s: %s, protocol %s, steer %s", l.Name, l.Address, l.Protocol, l.Steer)))
	if l.Skew != "" {
		fmt.Fprintf(w, "skew: %s\n", cli.Printable(l.Skew))
	}
	printShards(w, l)
	if len(l.TopSenders) > 0 {
		senders := cli.NewTable("lrrl", "top sender", "per second", "share", "")
		for _, s := range l.TopSenders {
			sprayed := ""
			if s.Sprayed {
				sprayed = "sprayed"
			}
			senders.Row(s.Source, format.Count(s.PerSecond), fmt.Sprintf("%d%%", s.Percent), sprayed)
		}
		printTable(w, senders)
	}
}

// printRefused prints the sources that the admission policy has refused.
func (r *Report) printRefused(w io.Writer, l metrics.ListenerStatus) {
	if len(l.RefusedSenders) == 0 {
		return
	}
	senders := cli.NewTable("lrrrl", "refused sender", "not allowed", "rate limited", "per second", "last")
	for _, s := range l.RefusedSenders {
		senders.Row(s.Source, format.Count(s.NotAllowed), format.Count(s.RateLimited), format.Count(s.PerSecond), format.Ago(s.LastAt, r.now))
	}
	printTable(w, senders)
}

// printShards prints a column for each counter that is not 0 in all shards, and names the others.
func printShards(w io.Writer, l metrics.ListenerStatus) {
	sum := metrics.Sum(l.Shards)
	heading, align := []string{"shard", "cpu"}, "rr"
	var columns []metrics.Counter
	var absent []string
	for _, c := range metrics.Table {
		name := strings.ReplaceAll(c.Name, "_", " ")
		if c.Value(sum) == 0 && c.Name != "received" && c.Name != "delivered" {
			absent = append(absent, name)
			continue
		}
		heading, align = append(heading, strings.TrimSuffix(name, " bytes")), align+"r"
		columns = append(columns, c)
	}
	table := cli.NewTable(align+"l", append(heading, "state")...)
	row := func(shard, cpu string, r metrics.Reading, state string) {
		cells := []string{shard, cpu}
		for _, c := range columns {
			cells = append(cells, value(c, r))
		}
		table.Row(append(cells, state)...)
	}
	for _, r := range l.Shards {
		row(strconv.Itoa(r.Shard), strconv.Itoa(r.CPU), r, overview.ShardState(l, r))
	}
	if len(l.Shards) > 1 {
		row("all", "", sum, "")
	}
	table.Print(w, "")
	if len(absent) > 0 {
		fmt.Fprintf(w, "0 in all shards: %s\n", strings.Join(absent, ", "))
	}
}

// value returns the text of a counter: a count, or a size.
func value(c metrics.Counter, r metrics.Reading) string {
	if strings.HasSuffix(c.Name, "bytes") {
		return format.Size(c.Value(r))
	}
	return format.Count(c.Value(r))
}

func printOutputs(w io.Writer, l metrics.ListenerStatus) {
	if len(l.Outputs) == 0 {
		return
	}
	targets := cli.NewTable("lrrrrrrrrrl", "target", "spooled", "acknowledged", "waiting", "size", "oldest", "rejected", "expired",
		"resent", "retries", "last error")
	for _, o := range l.Outputs {
		oldest := time.Duration(o.OldestWaiting * float64(time.Second)).Round(time.Second)
		targets.Row(o.To, format.Count(o.Spooled), format.Count(o.Acknowledged), format.Count(o.Waiting),
			format.Size(uint64(o.WaitingBytes)), oldest.String(), format.Count(o.Rejected), format.Count(o.Expired),
			format.Count(o.Resent), format.Count(o.Retries), o.LastError)
	}
	printTable(w, targets)
}
