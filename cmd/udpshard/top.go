package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/top"
)

func topCommand() *cobra.Command {
	var at client.Flags
	var once bool
	interval := time.Second
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "Watch running instances in the terminal: losses, rates, queues, targets",
		Long: `Shows a screen of running instances: what was lost, where, and the remedy; the
rates of each listener and shard; the targets.

With --once, or if standard output is not a terminal, or TERM is dumb, top prints
one table of each instance. The exit code is then 1 if no instance answers, else
0.

` + top.HelpText,
		Args: cli.NoArguments,
		Example: `  udpshard top
  udpshard top --http 192.0.2.1:9514 --http 192.0.2.2:9514`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			instances, err := at.Instances()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
			defer stop()
			w, c := cmd.OutOrStdout(), top.Config{Instances: instances, Interval: interval}
			if once || !cli.IsTerminal(w) || os.Getenv("TERM") == "dumb" {
				return top.Once(ctx, w, c)
			}
			return top.Run(ctx, cli.Direct(w), c)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	at.DefineSeveral(set)
	cli.AddFlag(set, &interval, "interval", top.ParseInterval, "ask the instances every `DURATION`, from 100ms")
	set.BoolVar(&once, "once", false, "print one table of each instance")
	return cmd
}
