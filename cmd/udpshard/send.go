package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/loadgen"
	"github.com/udpshard/udpshard/internal/sending"
)

func sendCommand() *cobra.Command {
	s := sending.Run{Config: loadgen.Config{To: "127.0.0.1:5514", Flows: 16, Rate: 1000, Batch: 64, Threads: 1}, Wait: 2 * time.Second}
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
			s.Config.Duration = duration
			if cmd.Flags().Changed("count") && !cmd.Flags().Changed("duration") {
				s.Config.Duration = 0
			}
			s.Template = string(template)
			return s.Do(cmd.OutOrStdout())
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	cli.AddFlag(set, &s.Config.To, "to", cli.ParseText, "`ADDR` to send to: host:port or [ipv6]:port")
	cli.AddFlag(set, &s.Config.Flows, "flows", cli.ParseCount, "send from `N` source ports, each a flow with numbers of its own")
	cli.AddFlag(set, &s.Config.Rate, "rate", loadgen.ParseRate, "send `N` datagrams a second over all flows; 0 is flat out")
	cli.AddFlag(set, &duration, "duration", cli.ParseDuration, "send for `DURATION`; 0 is until SIGINT; with --count, the default is no limit")
	cli.AddFlag(set, &s.Config.Count, "count", loadgen.ParseTotal, "send `N` datagrams in all (default as many as the duration allows)")
	cli.AddFlag(set, &s.Config.Size, "size", cli.ParseSize, "`SIZE` of each payload, padded (default as long as the text)")
	set.Var(&template, "template", "`FILE` of lines to send in turn, in which {flow}, {seq}, {time} and {run} are replaced")
	cli.AddFlag(set, &s.Config.GSO, "gso", cli.ParseCount, "send `N` datagrams as one GSO batch, which the kernel splits (UDP_SEGMENT), up to 128 (default off)")
	cli.AddFlag(set, &s.Config.Heavy, "heavy", loadgen.ParseShare, "`SHARE` of all datagrams that flow 0 sends, such as 0.9 or 90% (default the same as other flows)")
	cli.AddFlag(set, &s.Config.Batch, "batch", cli.ParseCount, "send at most `N` datagrams, or GSO batches, with one system call, 1 to 1024")
	cli.AddFlag(set, &s.Config.Threads, "threads", cli.ParseCount, "send from `N` threads, at most one per usable CPU")
	cli.AddFlag(set, &s.Config.CPUs, "cpus", cli.ParseCPUs, "`LIST` of CPUs such as 0,2-5, to which threads are pinned in turn (default none)")
	cli.AddFlag(set, &s.Verify, "verify", cli.ParseText, "check what arrived in `FILE`, in several (records-{shard}.json, *.json), or by the http:// URL of an instance").Offer = cli.Files
	client.AddTokenFlag(set, &s.TokenFile)
	cli.AddFlag(set, &s.Wait, "wait", cli.ParseDuration, "--verify gives up when nothing has arrived for `DURATION`")
	set.BoolVar(&s.JSON, "json", false, "print one JSON object")
	return cmd
}
