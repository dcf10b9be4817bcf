package selftest

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/format"
)

// Report is the result of a test, as JSON or by Print.
type Report struct {
	Protocol string `json:"protocol"`
	Flows    int    `json:"flows"`
	Note     string `json:"note"`
	// Highest is the highest loss-free rate in datagrams a second, or 0. Held: a trial of
	// HeldSeconds confirmed the rate.
	Highest       float64      `json:"highest_rate"`
	Held          bool         `json:"held"`
	HeldSeconds   float64      `json:"held_seconds"`
	Bytes         float64      `json:"bytes_per_second"`
	CPUNanos      int64        `json:"receive_cpu_ns_per_datagram"`
	SenderNanos   int64        `json:"sender_cpu_ns_per_datagram"` // with the kernel's receive path
	Shards        []shardTrial `json:"shards"`
	FairMax       float64      `json:"fair_max_share"`
	FairDeviation float64      `json:"fair_max_share_deviation"`
	Skewed        bool         `json:"skewed"`
	BufferAsked   int          `json:"receive_buffer_asked"`
	BufferGranted int          `json:"receive_buffer_granted"`
	Limit         string       `json:"limit"` // sender, receive_cpu, receive_buffer, shared_cpus, pauses, none
	Verdict       string       `json:"verdict"`
	Remedy        string       `json:"remedy,omitempty"`
	Trials        []trial      `json:"trials"`
}

const loopbackNote = "loopback shows the receive side alone: the sender's CPU does the kernel's part (softirq)"

// setup is the conditions of all trials.
type setup struct {
	protocol       string
	flows          int
	size, gso      int
	asked, granted int  // bytes of receive buffer
	shared         bool // senders and shards share CPUs
}

// newReport draws the conclusions.
func newReport(s *search, with setup) Report {
	r := Report{
		Protocol: with.protocol, Flows: with.flows, Note: loopbackNote, BufferAsked: with.asked, BufferGranted: with.granted,
		Trials: s.trials, Held: s.held,
	}
	shown := s.best
	if shown == nil {
		shown = s.bad // the trial that lost datagrams
	} else {
		r.Highest = shown.Rate
		r.HeldSeconds = shown.Elapsed.Seconds()
		r.Bytes = float64(shown.Bytes) / max(shown.Elapsed.Seconds(), 1e-9)
	}
	if shown == nil { // interrupted before the first
		r.Limit, r.Verdict = "none", "no time was left for a trial"
		return r
	}
	r.CPUNanos = shown.ReceiveCPU.Nanoseconds() / max(int64(shown.Received), 1)
	r.SenderNanos = shown.SenderCPU.Nanoseconds() / max(int64(shown.Sent), 1)
	r.Shards = shown.Shards
	r.FairMax, r.FairDeviation = fairShare(with.flows, len(shown.Shards))
	for _, shard := range shown.Shards {
		r.Skewed = r.Skewed || shard.Share > r.FairMax+3*r.FairDeviation+1e-9
	}
	r.conclude(s, with)
	return r
}

// roundRate keeps three digits: trials do not repeat more exactly.
func roundRate(rate float64) uint64 {
	n, unit := uint64(rate+0.5), uint64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return (n + unit/2) / unit * unit
}

// Print prints tables.
func (r Report) Print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s, %s\n%s\n\n", r.Protocol, format.Plural(len(r.Shards), "shard"), format.Plural(r.Flows, "flow"), r.Note)
	table := cli.NewTable("ll")
	row := func(name, format string, args ...any) { table.Row(name, fmt.Sprintf(format, args...)) }
	switch {
	case r.Highest == 0:
		row("highest loss-free rate", "none")
	case r.Held:
		row("highest loss-free rate", "%s datagrams/s, %s bytes/s, held for %.1f s", format.Count(roundRate(r.Highest)), format.Count(roundRate(r.Bytes)), r.HeldSeconds)
	default:
		row("highest loss-free rate", "%s datagrams/s, %s bytes/s; not confirmed: no time was left to hold the rate", format.Count(roundRate(r.Highest)), format.Count(roundRate(r.Bytes)))
	}
	row("receive CPU", "%s a datagram", micros(r.CPUNanos))
	row("sender CPU", "%s a datagram", micros(r.SenderNanos))
	row("receive buffer", "%s a socket of %s asked", cli.FormatSize(r.BufferGranted), cli.FormatSize(r.BufferAsked))
	if len(r.Shards) > 1 {
		judgement := "fair"
		if r.Skewed {
			judgement = "skewed"
		}
		row("spread", "%s: a fair hash gives the fullest shard %.1f%% ± %.1f%% with %d flows", judgement, 100*r.FairMax, 100*r.FairDeviation, r.Flows)
	}
	table.Print(w, "")
	fmt.Fprintln(w)
	table = cli.NewTable("rrrrr", "shard", "cpu", "share", "busy", "waited")
	for _, s := range r.Shards {
		table.Row(strconv.Itoa(s.Shard), strconv.Itoa(s.CPU), fmt.Sprintf("%.1f%%", 100*s.Share),
			fmt.Sprintf("%.0f%%", 100*s.Busy), fmt.Sprintf("%.0f%%", 100*s.Waited))
	}
	table.Print(w, "  ")
	fmt.Fprintf(w, "\nverdict: %s\n", r.Verdict)
	if r.Remedy != "" {
		fmt.Fprintf(w, "remedy:  %s\n", r.Remedy)
	}
}

func micros(nanos int64) string {
	return fmt.Sprintf("%.2f µs", float64(nanos)/float64(time.Microsecond))
}
