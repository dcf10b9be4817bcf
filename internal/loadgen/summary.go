package loadgen

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/metrics"
)

// Summary is the output of udpshard send, as JSON or by Print.
type Summary struct {
	Run         string            `json:"run"`
	To          string            `json:"to"`
	Flows       int               `json:"flows"`
	AskedRate   float64           `json:"asked_rate"`
	Rate        float64           `json:"rate"`
	Sent        uint64            `json:"sent"`
	Bytes       uint64            `json:"bytes"`
	Missed      uint64            `json:"missed"`
	Refused     uint64            `json:"refused"`
	Unreachable uint64            `json:"unreachable"`
	Errors      map[string]uint64 `json:"errors"`
	Seconds     float64           `json:"seconds"`
	CPUSeconds  float64           `json:"cpu_seconds"`
	Records     *Report           `json:"records,omitempty"`  // --verify FILE
	Receiver    *Arrival          `json:"receiver,omitempty"` // --verify URL
}

// NewSummary returns the summary of a run.
func NewSummary(c Config, r Result) Summary {
	return Summary{
		Run: r.Run, To: r.To.String(), Flows: len(r.Flows), AskedRate: c.Rate, Rate: r.Rate(), Sent: r.Sent, Bytes: r.Bytes, Missed: r.Missed,
		Refused: r.Refused, Unreachable: r.Unreachable, Errors: r.Errors, Seconds: r.Elapsed.Seconds(),
	}
}

// Verdict returns the error for exit code 1, or nil.
func (r Summary) Verdict() error {
	switch {
	case r.Records != nil && r.Records.Total.Lost > 0:
		return fmt.Errorf("%d of %d datagrams did not arrive", r.Records.Total.Lost, r.Sent)
	case r.Receiver != nil && !r.Receiver.Complete():
		a := r.Receiver
		return fmt.Errorf("%d of %d datagrams were not delivered: %s", a.Missing(), a.Sent, whereMissing(*a))
	case r.Sent > 0 && r.Refused > 0 && r.Refused+1 >= r.Sent && r.Receiver == nil && r.Records == nil:
		return cli.WithHint(fmt.Errorf("no socket listens at %s: datagrams were refused (ICMP port unreachable)", r.To),
			"udpshard serve --listen "+r.To)

	}
	return nil
}

// Print prints tables.
func (r Summary) Print(w io.Writer) {
	table := cli.NewTable("ll")
	row := func(name, format string, args ...any) { table.Row(name, fmt.Sprintf(format, args...)) }
	row("sent", "%s datagrams, %s bytes, to %s from %d flows as run %s", format.Count(r.Sent), format.Count(r.Bytes), r.To, r.Flows, r.Run)
	row("time", "%.3f s, and %.3f s of CPU time (%.1f%% of a CPU)", r.Seconds, r.CPUSeconds, 100*r.CPUSeconds/max(r.Seconds, 1e-9))
	asked := "flat out"
	if r.AskedRate > 0 {
		asked = fmt.Sprintf("of %s/s asked", format.Count(uint64(r.AskedRate+0.5)))
	}
	row("rate", "%s datagrams/s %s, %s bytes/s", format.Count(uint64(r.Rate+0.5)), asked, format.Count(uint64(float64(r.Bytes)/max(r.Seconds, 1e-9)+0.5)))
	if r.Missed > 0 {
		row("missed", "%s datagrams: the sender was too slow for the rate", format.Count(r.Missed))
	}
	if r.Refused > 0 {
		row("refused", "%s datagrams: no socket listens (ICMP port unreachable)", format.Count(r.Refused))
	}
	if r.Unreachable > 0 {
		row("bounced", "%s datagrams: not delivered by the network (other ICMP errors)", format.Count(r.Unreachable))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		row("errors", "%s datagrams: %s", format.Count(r.Errors[kind]), kind)
	}
	if len(r.Errors) == 0 {
		row("errors", "none")
	}
	table.Print(w, "")
	if r.Records != nil {
		printRecords(w, *r.Records)
	}
	if r.Receiver != nil {
		printArrival(w, *r.Receiver)
	}
}

// maxFlowRows is the most rows in the table of flows.
const maxFlowRows = 20

func printRecords(w io.Writer, r Report) {
	fmt.Fprintln(w)
	table := cli.NewTable("rrrrrr", "flow", "sent", "arrived", "lost", "doubled", "reordered")
	row := func(name string, f FlowReport) {
		table.Row(name, format.Count(f.Sent), format.Count(f.Arrived), format.Count(f.Lost), format.Count(f.Doubled), format.Count(f.Reordered))
	}
	worst := r.Worst(maxFlowRows)
	for _, f := range worst {
		row(strconv.Itoa(f.Flow), f)
	}
	row("all", r.Total)
	table.Print(w, "  ")
	if bad := len(r.Worst(len(r.Flows))); bad > len(worst) {
		fmt.Fprintf(w, "and %d more flows with losses, doubles or reordering\n", bad-len(worst))
	}
	if r.Strange > 0 {
		fmt.Fprintf(w, "%s records have the name of this run, but a flow or number that was not sent\n", format.Count(r.Strange))
	}
}

// whereMissing describes where the datagrams are that were not delivered.
func whereMissing(a Arrival) string {
	var said []string
	add := func(n uint64, what string) {
		if n > 0 {
			said = append(said, format.Count(n)+" "+what)
		}
	}
	for _, c := range metrics.Table {
		switch n := c.Value(metrics.Reading{Dropped: a.Dropped}); {
		case c.Drop == metrics.NoDrop, c.Drop == metrics.ReplyOnly:
		case c.Name == "kernel":
			add(n, "dropped by the kernel at a full receive queue")
		case c.Name == "output":
			add(n, "dropped at the output")
		default:
			add(n, c.Name)
		}
	}
	add(a.InFlight, "in flight to the output")
	add(a.Waiting, fmt.Sprintf("still in receive queues (%s), or lost on the way to the port", format.Size(a.QueueBytes)))
	add(a.Lost, "lost on the way to the port")
	return strings.Join(said, ", ")
}

func printArrival(w io.Writer, a Arrival) {
	fmt.Fprintln(w)
	table := cli.NewTable("rrrrrr", "shard", "received", "kernel drops", "other drops", "in flight", "share")
	row := func(name string, received uint64, dropped metrics.Drops, inFlight uint64, share float64) {
		table.Row(name, format.Count(received), format.Count(dropped.Kernel), format.Count(dropped.Received()),
			format.Count(inFlight), fmt.Sprintf("%.1f%%", 100*share))
	}
	for _, s := range a.Shards {
		share := float64(s.Received+s.Dropped.Kernel) / max(float64(a.Received+a.Dropped.Kernel), 1)
		row(strconv.Itoa(s.Shard), s.Received, s.Dropped, s.InFlight, share)
	}
	row("all", a.Received, a.Dropped, a.InFlight, 1)
	table.Print(w, "  ")
	to := fmt.Sprintf("listener %s at %s", cli.Printable(a.Listener), cli.Printable(a.Address))
	if n := a.Missing(); n > 0 {
		fmt.Fprintf(w, "%s of %s not delivered by %s: %s\n", format.Count(n), format.Count(a.Sent), to, whereMissing(a))
	} else {
		fmt.Fprintf(w, "all %s delivered by %s\n", format.Count(a.Sent), to)
	}
	if a.More > 0 {
		fmt.Fprintf(w, "%s more arrived than were sent: another sender uses the port\n", format.Count(a.More))
	}
}
