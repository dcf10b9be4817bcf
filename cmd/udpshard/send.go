package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/loadgen"
)

func sendCommand() *cobra.Command {
	s := sending{config: loadgen.Config{To: "127.0.0.1:5514", Flows: 16, Rate: 1000, Batch: 64, Threads: 1}, wait: 2 * time.Second}
	var template cli.FileName
	duration := 10 * time.Second
	cmd := &cobra.Command{
		Use:   "send [flags]",
		Short: "Send numbered datagrams, and check which of them arrived",
		Long: `Sends numbered datagrams from many source ports at a rate, and prints what was
sent. Each datagram is a syslog line (RFC 5424) with a token such as
run=K flow=3 n=17. If --size is too small for the line, the datagram is the token
alone; if --size is too small for the token, the datagram is filler.

--verify FILE looks for each token in the file that a receiver writes, and
prints what was lost, doubled or reordered in each flow. {shard} and the
patterns of glob(7) name several files; each file has an order of its own.
--verify URL reads the ledger of a running instance before and after the run,
and prints where each missing datagram is. The instance may be upgraded during
the run.

At low rates, datagrams are sent in bursts of twenty, at most 20 ms apart: a
wake-up for each datagram would cost more than sending. A sender that falls
behind the rate makes up for 50 ms, and counts the rest as missed. SIGINT ends a
run early. Exit code 1 if nothing could be sent, or if a datagram is missing.`,
		Args: cli.NoArguments,
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
	cli.AddFlag(set, &s.config.To, "to", cli.ParseText, "`ADDR` to send to: host:port or [ipv6]:port")
	cli.AddFlag(set, &s.config.Flows, "flows", cli.ParseCount, "send from `N` source ports, each a flow with numbers of its own")
	cli.AddFlag(set, &s.config.Rate, "rate", loadgen.ParseRate, "send `N` datagrams a second over all flows; 0 is flat out")
	cli.AddFlag(set, &duration, "duration", cli.ParseDuration, "send for `DURATION`; 0 is until SIGINT; with --count, the default is no limit")
	cli.AddFlag(set, &s.config.Count, "count", loadgen.ParseTotal, "send `N` datagrams in all (default as many as the duration allows)")
	cli.AddFlag(set, &s.config.Size, "size", cli.ParseSize, "`SIZE` of each payload, padded (default as long as the text)")
	set.Var(&template, "template", "`FILE` of lines to send in turn, in which {flow}, {seq}, {time} and {run} are replaced")
	cli.AddFlag(set, &s.config.GSO, "gso", cli.ParseCount, "send `N` datagrams as one GSO batch, which the kernel splits (UDP_SEGMENT), up to 128 (default off)")
	cli.AddFlag(set, &s.config.Heavy, "heavy", loadgen.ParseShare, "`SHARE` of all datagrams that flow 0 sends, such as 0.9 or 90% (default the same as other flows)")
	cli.AddFlag(set, &s.config.Batch, "batch", cli.ParseCount, "send at most `N` datagrams, or GSO batches, with one system call, 1 to 1024")
	cli.AddFlag(set, &s.config.Threads, "threads", cli.ParseCount, "send from `N` threads, at most one per usable CPU")
	cli.AddFlag(set, &s.config.CPUs, "cpus", cli.ParseCPUs, "`LIST` of CPUs such as 0,2-5, to which threads are pinned in turn (default none)")
	cli.AddFlag(set, &s.verify, "verify", cli.ParseText, "check what arrived in `FILE`, in several (records-{shard}.json, *.json), or by the http:// URL of an instance")
	client.AddTokenFlag(set, &s.tokenFile)
	cli.AddFlag(set, &s.wait, "wait", cli.ParseDuration, "--verify gives up when nothing has arrived for `DURATION`")
	set.BoolVar(&s.json, "json", false, "print one JSON object")
	return cmd
}

// sending is a run of send.
type sending struct {
	config loadgen.Config
	verify string
	wait   time.Duration
	json   bool

	tokenFile string // for verify
}

func (s *sending) readTemplate(path string) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return cli.Usage(fmt.Errorf("--template: %w", err))
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			s.config.Lines = append(s.config.Lines, line)
		}
	}
	if len(s.config.Lines) == 0 {
		return cli.Usage(fmt.Errorf("--template: %s has no lines", path))
	}
	return nil
}

func (s *sending) verifiesURL() bool {
	return strings.HasPrefix(s.verify, "http://") || strings.HasPrefix(s.verify, "https://")
}

func (s *sending) run(stdout io.Writer) error {
	to, numbered, err := s.config.Check()
	if err != nil {
		return sendError(s.config.To, s.config.Flows, err)
	}
	ctx, stop := cli.InterruptContext()
	defer stop()

	var receiver *loadgen.Receiver
	var records *loadgen.Records
	switch {
	case s.verify == "":
	case s.verifiesURL():
		receiver, err = loadgen.NewReceiver(ctx, s.verify, s.tokenFile, to)
	case !numbered:
		err = cli.Usage(errors.New("--verify: not every line of this template and --size holds run={run} flow={flow} n={seq}"))
	default:
		records, err = loadgen.OpenRecords(s.verify)
	}
	if err != nil {
		return verifyError(err)
	}
	if records != nil {
		defer records.Close()
	}
	cpuBefore := cpuTime()
	result, err := loadgen.Run(ctx, s.config)
	if err != nil {
		return sendError(s.config.To, s.config.Flows, err)
	}
	report := loadgen.NewSummary(s.config, result)
	report.CPUSeconds = (cpuTime() - cpuBefore).Seconds()
	settling := context.Background() // also after an interrupt: sent datagrams may still arrive
	switch {
	case receiver != nil:
		var arrival loadgen.Arrival
		if arrival, err = receiver.WaitDelivered(settling, result.Sent, s.wait); err == nil {
			report.Receiver = &arrival
		}
	case records != nil:
		checker := loadgen.NewChecker(result.Run, result.Flows)
		if err = checker.Follow(settling, records, s.wait); err == nil {
			found := checker.Report()
			report.Records = &found
		}
	}
	if s.json {
		_ = cli.PrintJSON(stdout, report)
	} else {
		report.Print(stdout)
	}
	if err != nil {
		return verifyError(err)
	}
	return report.Verdict()
}

// spareFiles is more than the descriptors of a sender beside the sockets of the flows: standard
// input, output and error, epoll, files to verify.
const spareFiles = 32

// sendError returns the error of a run with a number of flows to an address, with the flag or a
// hint.
func sendError(to string, flows int, err error) error {
	var wrong *loadgen.ConfigError
	if errors.As(err, &wrong) {
		flag := map[string]string{"Lines": "template", "CPUs": "cpus", "GSO": "gso"}[wrong.Field]
		if flag == "" {
			flag = strings.ToLower(wrong.Field)
		}
		err := wrong.Err
		if wrong.Field == "To" {
			err = cli.Suggest(err, cli.GuessAddress(to, "127.0.0.1", config.DefaultPort))
		}
		return cli.SettingError("--"+flag, err)
	}
	var segment *loadgen.SegmentError
	switch {
	case errors.As(err, &segment):
		return cli.WithHint(fmt.Errorf("--gso: the kernel refuses %w", err), "send without --gso, or with a smaller --size")
	case errors.Is(err, unix.EMSGSIZE), errors.Is(err, unix.EINVAL):
		return cli.WithHint(err, "the datagrams are too large for the route: use a smaller --size, or a smaller --gso or none")
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return cli.WithHint(err, "this host has no route to the address: see ip route get")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return cli.WithHint(err, "a firewall of this host rejects the datagrams, or the address is a broadcast address")
	case errors.Is(err, unix.EMFILE):
		return cli.WithHint(err, fmt.Sprintf("each flow needs a descriptor: ulimit -n %d", flows+spareFiles))
	}
	return err
}

func verifyError(err error) error {
	if cli.IsUsage(err) {
		return err
	}
	return fmt.Errorf("--verify: %w", err)
}

// cpuTime returns the CPU time of this process, user and system.
func cpuTime() time.Duration {
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
