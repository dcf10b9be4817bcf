package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/loadgen"
	"github.com/udpshard/udpshard/internal/selftest"
	"github.com/udpshard/udpshard/internal/sending"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/shard"
)

func selftestCommand() *cobra.Command {
	t := selftestRun{listener: config.NewListener(), flows: 64, budget: 25 * time.Second}
	l := t.listener
	cmd := &cobra.Command{
		Use:   "selftest [flags]",
		Short: "Find the highest loss-free rate of this host on loopback",
		Long: `Opens shards on loopback, sends to them from another process, and finds the
highest rate at which nothing is lost. Prints the CPU time of a datagram, how
evenly shards were used, what limits the rate first, and what to do about the
limit. Records are made and thrown away.

Shards get one half of the usable CPUs, and the sender gets the other half,
unless --shards or --cpus say otherwise: on loopback the sender's CPU does the
kernel's part of receiving. Takes less than 30 s.`,
		Args: cli.NoArguments,
		Example: `  udpshard selftest
  udpshard selftest --protocol discard --shards 2 --flows 256 --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	protocols := []string{"syslog", "raw", "echo", "discard"}
	cli.AddFlag(set, &l.Protocol, "protocol", cli.ParseChoice(protocols...), "`PROTOCOL` of the shards: syslog, raw, echo or discard").Offer = cli.Words(protocols...)
	cli.AddFlag(set, &l.Shards, "shards", cli.ParseCount, "`N` sockets, each with its thread (default one for each CPU of --cpus)")
	cli.AddFlag(set, &l.CPUs, "cpus", cli.ParseCPUs, "`LIST` of CPUs such as 0,2-5, to which shards are pinned in turn (default half of the usable CPUs)")
	cli.AddFlag(set, &l.Batch, "batch", cli.ParseCount, "receive at most `N` datagrams with one system call, 1 to 1024")
	set.Var(&cli.Flag[int]{To: &l.ReceiveBuffer, Text: cli.FormatSize(l.ReceiveBuffer), Parse: cli.ParseSize}, "receive-buffer", "ask for a receive buffer of `SIZE` for each socket, up to 1GiB")
	cli.AddFlag(set, &t.flows, "flows", cli.ParseCount, "send from `N` source ports")
	cli.AddFlag(set, &t.size, "size", cli.ParseSize, "`SIZE` of each payload (default a syslog line of some 75 bytes)")
	cli.AddFlag(set, &t.gso, "gso", cli.ParseCount, "send `N` datagrams as one GSO batch, which makes sending cheaper, up to 128 (default off)")
	cli.AddFlag(set, &t.threads, "threads", cli.ParseCount, "send from `N` threads (default one for each CPU without a shard)")
	cli.AddFlag(set, &t.budget, "duration", cli.ParseDuration, "`DURATION` of the whole test, from 2s")
	set.BoolVar(&t.json, "json", false, "print one JSON object")
	return cmd
}

// selftestRun is one run of selftest.
type selftestRun struct {
	listener *config.Listener
	flows    int
	size     int
	gso      int
	threads  int
	budget   time.Duration
	json     bool
}

// minBudget is enough time for trials that measure a rate.
const minBudget = 2 * time.Second

func (t *selftestRun) run(stdout, stderr io.Writer) error {
	if t.budget < minBudget {
		return cli.Usage(fmt.Errorf("--duration: %s is less than %s", t.budget, minBudget))
	}
	usable, err := sys.UsableCPUs()
	if err != nil {
		return err
	}
	l := t.listener
	l.Address, l.Name = "127.0.0.1:0", "selftest"
	for _, key := range []string{"shards", "cpus", "batch", "receive_buffer"} {
		l.SetAt(key, "--"+strings.ReplaceAll(key, "_", "-"))
	}
	var senders []int
	l.CPUs, senders = selftest.DivideCPUs(usable, l.CPUs, l.Shards)
	if l.Shards == 0 {
		l.Shards = len(l.CPUs)
	}
	if t.threads == 0 {
		t.threads = min(len(senders), t.flows)
	}
	// The port is not known yet, and is not part of the check.
	load := loadgen.Config{To: "127.0.0.1:9", Flows: t.flows, Size: t.size, GSO: t.gso,
		Threads: t.threads, CPUs: senders}
	if _, _, err := load.Check(); err != nil {
		return sending.Explain("", t.flows, err)
	}
	l.MaxDatagram = max(l.MaxDatagram, t.size)
	group, err := shard.Listen(l.Engine())
	if errors.Is(err, unix.EMFILE) {
		return cli.NeedsFiles(err, max(l.Shards, t.flows)+sending.SpareFiles)
	}
	if err != nil {
		return l.WithPosition(err)
	}
	ctx, stop := cli.InterruptContext()
	defer stop()
	running, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- group.Run(running) }()

	report, err := selftest.Run(ctx, group, selftest.Options{
		Protocol: l.Protocol, Flows: t.flows, Size: t.size, GSO: t.gso, Threads: t.threads, CPUs: senders,
		Budget: t.budget, Progress: stderr, Live: cli.IsTerminal(stderr),
	})
	end()
	if groupErr := <-ended; err == nil {
		err = groupErr
	}
	if err != nil {
		return err
	}
	if t.json {
		if err := cli.PrintJSON(stdout, report); err != nil {
			return err
		}
	} else {
		report.Print(stdout)
	}
	if report.Highest == 0 && ctx.Err() == nil {
		return errors.New("no rate was loss-free")
	}
	return nil
}
