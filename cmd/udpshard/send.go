package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/load"
)

func sendCommand() *cobra.Command {
	s := sending{config: load.Config{To: "127.0.0.1:5514", Flows: 16, Rate: 1000, Batch: 64, Threads: 1}, wait: 2 * time.Second}
	var template fileName
	duration := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "send [flags]",
		Short: "Send numbered datagrams, and check which of them arrived",
		Long: `Sends numbered datagrams from many source ports at a rate, and says what was
sent. The default is a syslog line (RFC 5424) with a token, run=K flow=3 n=17;
a --size that is too small for the line leaves the token alone, or filler.

With --verify FILE it looks for each token in what a receiver writes there,
and says what was lost, doubled or reordered in each flow. With the URL of an
instance of udpshard it reads that one's ledger before and after.

Low rates leave in bursts of twenty, at most 20 ms apart: a wake-up for each
would cost more than to send it. A sender that is held up makes up for 50 ms,
and counts the rest as missed. Exit code 1 if nothing could be sent, or if
--verify misses a datagram; SIGINT ends a run early.`,
		Args: noArguments,
		Example: `  udpshard serve --listen 127.0.0.1:5514 --output file:/tmp/records.json &
  udpshard send --rate 50000 --duration 5s --verify /tmp/records.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.config.Duration = duration
			if cmd.Flags().Changed("count") && !cmd.Flags().Changed("duration") {
				s.config.Duration = 0
			}
			if err := s.readTemplate(string(template)); err != nil {
				return err
			}
			return s.run(cmd.OutOrStdout())
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	addFlag(set, &s.config.To, "to", parseText, "`ADDR` to send to: host:port or [ipv6]:port")
	addFlag(set, &s.config.Flows, "flows", parseCount, "`N` source ports, each a flow with numbers of its own")
	addFlag(set, &s.config.Rate, "rate", parseSendRate, "`N` datagrams a second over all flows; 0 is flat out")
	addFlag(set, &duration, "duration", parseDuration, "`DURATION` of the run; 0 is until it is interrupted; with --count there is none")
	addFlag(set, &s.config.Count, "count", parseUnsigned, "`N` datagrams in all (default as many as the duration allows)")
	addFlag(set, &s.config.Size, "size", parseSize, "`SIZE` of each payload, padded (default as long as the text)")
	set.Var(&template, "template", "`FILE` of lines to send in turn, in which {flow}, {seq}, {time} and {run} are replaced")
	addFlag(set, &s.config.GSO, "gso", parseCount, "`N` datagrams to a train that the kernel splits (UDP_SEGMENT), up to 128 (default off)")
	addFlag(set, &s.config.Heavy, "heavy", parseShare, "`SHARE` of all datagrams that flow 0 sends: 0.9 or 90% (default the same as others)")
	addFlag(set, &s.config.Batch, "batch", parseCount, "`N` datagrams, or trains, at most to a send call, 1 to 1024")
	addFlag(set, &s.config.Threads, "threads", parseCount, "`N` senders, at most one per usable CPU")
	addFlag(set, &s.config.CPUs, "cpus", parseCPUs, "`LIST` of CPUs such as 0,2-5 that senders are pinned to in turn (default none)")
	addFlag(set, &s.verify, "verify", parseText, "`FILE` of records, or an instance's http:// URL, to check what arrived")
	addFlag(set, &s.wait, "wait", parseDuration, "`DURATION` in which nothing more arrives after which --verify gives the rest up")
	set.BoolVar(&s.json, "json", false, "print one JSON object")
	return cmd
}

// parsedFlag is a pflag.Value of any type that has a parser.
type parsedFlag[T any] struct {
	to    *T
	text  string
	parse func(string) (T, error)
}

func (f *parsedFlag[T]) String() string { return f.text }
func (f *parsedFlag[T]) Type() string   { return "string" }
func (f *parsedFlag[T]) Set(text string) error {
	value, err := f.parse(text)
	if err == nil {
		*f.to, f.text = value, text
	}
	return err
}

// addFlag defines a flag whose default is what to holds; a zero one is not
// shown.
func addFlag[T any](set *pflag.FlagSet, to *T, name string, parse func(string) (T, error), usage string) {
	text := fmt.Sprint(*to)
	if text == "0" || text == "[]" {
		text = ""
	}
	set.Var(&parsedFlag[T]{to, text, parse}, name, usage)
}

func parseUnsigned(text string) (uint64, error) {
	n, err := parseCount(text)
	return uint64(n), err
}

func parseSendRate(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n >= 0) {
		return 0, fmt.Errorf("%q is not a number of datagrams a second", text)
	}
	return n, nil
}

// parseShare reads 0.9 or 90%.
func parseShare(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return 0, fmt.Errorf("%q is not a share from 0 to 1, or 0%% to 100%%", text)
	}
	return n, nil
}

// sending is one run of send.
type sending struct {
	config load.Config
	verify string
	wait   time.Duration
	json   bool
}

// sendReport is what send prints, as JSON.
type sendReport struct {
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
	Records     *load.Report      `json:"records,omitempty"`  // --verify FILE
	Receiver    *load.Arrival     `json:"receiver,omitempty"` // --verify URL
}

func (s *sending) readTemplate(path string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return usageError{fmt.Errorf("--template: %w", err)}
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			s.config.Lines = append(s.config.Lines, line)
		}
	}
	if len(s.config.Lines) == 0 {
		return usageError{fmt.Errorf("--template: %s has no lines", path)}
	}
	return nil
}

func (s *sending) verifiesURL() bool {
	return strings.HasPrefix(s.verify, "http://") || strings.HasPrefix(s.verify, "https://")
}

func (s *sending) run(stdout io.Writer) error {
	to, numbered, err := s.config.Check()
	if err != nil {
		return sendError(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one is not caught

	var receiver *load.Receiver
	var from int64
	switch {
	case s.verify == "":
	case s.verifiesURL():
		receiver, err = load.NewReceiver(ctx, s.verify, to)
	case !numbered:
		err = usageError{errors.New("--verify: not every line of this template and --size holds run={run} flow={flow} n={seq}")}
	default:
		from, err = load.EndOf(s.verify)
	}
	if err != nil {
		return verifyError(err)
	}
	cpuBefore := cpuTime()
	result, err := load.Run(ctx, s.config)
	if err != nil {
		return sendError(err)
	}
	report := newSendReport(s.config, result)
	report.CPUSeconds = (cpuTime() - cpuBefore).Seconds()
	settling := context.Background() // also after an interrupt: what was sent may still arrive
	switch {
	case receiver != nil:
		var arrival load.Arrival
		if arrival, err = receiver.Settle(settling, result.Sent, s.wait); err == nil {
			report.Receiver = &arrival
		}
	case s.verify != "":
		checker := load.NewChecker(result.Run, result.Flows)
		if err = checker.Follow(settling, s.verify, from, s.wait); err == nil {
			records := checker.Report()
			report.Records = &records
		}
	}
	if s.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(report)
	} else {
		report.print(stdout)
	}
	if err != nil {
		return verifyError(err)
	}
	return report.verdict()
}

func newSendReport(c load.Config, r load.Result) sendReport {
	return sendReport{
		Run: r.Run, To: r.To.String(), Flows: len(r.Flows), AskedRate: c.Rate, Rate: r.Rate(), Sent: r.Sent, Bytes: r.Bytes, Missed: r.Missed,
		Refused: r.Refused, Unreachable: r.Unreachable, Errors: r.Errors, Seconds: r.Elapsed.Seconds(),
	}
}

// verdict is the error that makes the exit code 1.
func (r sendReport) verdict() error {
	switch {
	case r.Records != nil && r.Records.Total.Lost > 0:
		return fmt.Errorf("%d of %d datagrams did not arrive", r.Records.Total.Lost, r.Sent)
	case r.Receiver != nil && !r.Receiver.Complete():
		a := r.Receiver
		return fmt.Errorf("%d of %d datagrams did not arrive, %d were dropped by the kernel, %d for another reason, %d are in flight",
			a.Lost, a.Sent, a.Kernel, a.Dropped, a.InFlight)
	case r.Sent > 0 && r.Refused > 0 && r.Refused+1 >= r.Sent && r.Receiver == nil && r.Records == nil:
		return hinted{fmt.Errorf("nobody listens at %s: datagrams were refused (ICMP port unreachable)", r.To),
			"udpshard serve --listen " + r.To}
	}
	return nil
}

func sendError(err error) error {
	var wrong *load.ConfigError
	if errors.As(err, &wrong) {
		flag := map[string]string{"Lines": "template", "CPUs": "cpus", "GSO": "gso"}[wrong.Field]
		if flag == "" {
			flag = strings.ToLower(wrong.Field)
		}
		return usageError{fmt.Errorf("--%s: %w", flag, wrong.Err)}
	}
	var segment *load.SegmentError
	switch {
	case errors.As(err, &segment):
		return hinted{fmt.Errorf("--gso: the kernel refuses %w", err), "send without --gso, or with a smaller --size"}
	case errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.EINVAL):
		return hinted{err, "the datagrams do not fit the way there: try a smaller --size, or a smaller --gso or none"}
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return hinted{err, "this host has no route there: see ip route get"}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return hinted{err, "a firewall of this host forbids it, or the address is a broadcast one"}
	case errors.Is(err, unix.EMFILE):
		return hinted{err, "each flow takes a descriptor: ulimit -n raises their number"}
	}
	return err
}

func verifyError(err error) error {
	if errors.As(err, new(usageError)) {
		return err
	}
	return fmt.Errorf("--verify: %w", err)
}

// cpuTime is what this process has used, user and system.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// thousands writes 1234567 as 1,234,567.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func (r sendReport) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(table, name+"\t"+format+"\n", args...) }
	row("sent", "%s datagrams, %s bytes, to %s from %d flows as run %s", thousands(r.Sent), thousands(r.Bytes), r.To, r.Flows, r.Run)
	row("time", "%.3f s, and %.3f s of CPU (%.1f%% of a core)", r.Seconds, r.CPUSeconds, 100*r.CPUSeconds/max(r.Seconds, 1e-9))
	asked := "flat out"
	if r.AskedRate > 0 {
		asked = fmt.Sprintf("of %s/s asked", thousands(uint64(r.AskedRate+0.5)))
	}
	row("rate", "%s datagrams/s %s, %s bytes/s", thousands(uint64(r.Rate+0.5)), asked, thousands(uint64(float64(r.Bytes)/max(r.Seconds, 1e-9)+0.5)))
	if r.Missed > 0 {
		row("missed", "%s datagrams: this sender could not keep the rate", thousands(r.Missed))
	}
	if r.Refused > 0 {
		row("refused", "%s datagrams: nobody listened (ICMP port unreachable)", thousands(r.Refused))
	}
	if r.Unreachable > 0 {
		row("bounced", "%s datagrams: did not get there (other ICMP errors)", thousands(r.Unreachable))
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		row("errors", "%s datagrams: %s", thousands(r.Errors[kind]), kind)
	}
	if len(r.Errors) == 0 {
		row("errors", "none")
	}
	table.Flush()
	if r.Records != nil {
		printRecords(w, *r.Records)
	}
	if r.Receiver != nil {
		printArrival(w, *r.Receiver)
	}
}

// worstFlows bounds the table of flows.
const worstFlows = 20

func printRecords(w io.Writer, r load.Report) {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "flow\tsent\tarrived\tlost\tdoubled\treordered\t\n")
	row := func(name string, f load.FlowReport) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t\n", name, thousands(f.Sent), thousands(f.Arrived), thousands(f.Lost), thousands(f.Doubled), thousands(f.Reordered))
	}
	worst := r.Worst(worstFlows)
	for _, f := range worst {
		row(strconv.Itoa(f.Flow), f)
	}
	row("all", r.Total)
	table.Flush()
	if bad := len(r.Worst(len(r.Flows))); bad > len(worst) {
		fmt.Fprintf(w, "and %d more flows with losses, doubles or reordering\n", bad-len(worst))
	}
	if r.Strange > 0 {
		fmt.Fprintf(w, "%s records bear this run's name and were never sent\n", thousands(r.Strange))
	}
}

func printArrival(w io.Writer, a load.Arrival) {
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "shard\treceived\tkernel drops\tother drops\tin flight\tshare\t\n")
	for _, s := range a.Shards {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%.1f%%\t\n", s.Shard, thousands(s.Received), thousands(s.Dropped.Kernel),
			thousands(load.NotDelivered(s.Dropped)), thousands(s.InFlight),
			100*float64(s.Received+s.Dropped.Kernel)/max(float64(a.Received+a.Kernel), 1))
	}
	fmt.Fprintf(table, "all\t%s\t%s\t%s\t%s\t100.0%%\t\n", thousands(a.Received), thousands(a.Kernel), thousands(a.Dropped), thousands(a.InFlight))
	table.Flush()
	fmt.Fprintf(w, "%s lost on the way to listener %s at %s\n", thousands(a.Lost), a.Listener, a.Address)
	if a.More > 0 {
		fmt.Fprintf(w, "%s more came than were sent: somebody else sends there\n", thousands(a.More))
	}
}
