package main

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/statusreport"
)

func statusCommand() *cobra.Command {
	var asJSON bool
	var since time.Time
	var at client.Flags
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Say whether a running instance has lost anything, and print its counters",
		Long: `Prints whether a running instance has lost datagrams or records, where, when and
why, and the remedy; then prints all counters of each shard, the senders, the
targets and the takeovers. The counters go on after upgrades and takeovers.

Losses are datagrams that the kernel dropped, or that were read and not
delivered, and records that a target has refused or that the spool has dropped.
Datagrams that your settings refuse are not losses.

Exit code 0 if nothing was lost since --since, 1 if something was lost, 3 if no
instance answers.`,
		Args: cli.NoArguments,
		Example: `  udpshard status
  udpshard status --since 10m --json
  watch udpshard status --http 127.0.0.1:9514`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			instance, err := at.Instance()
			if err != nil {
				return err
			}
			r, err := statusreport.Ask(cmp.Or(cmd.Context(), context.Background()), instance)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				err = cli.PrintJSON(w, r)
			} else {
				r.Print(w)
			}
			return cmp.Or(err, r.Check(since))
		},
	}
	at.Define(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: the keys of /api/v1/status, and overview")
	cmd.Flags().Var(&cli.Flag[time.Time]{To: &since, Parse: statusreport.ParseSince}, "since",
		"exit with 1 only for losses since `TIME`: a duration before now, or a time; the default is when the counters began")
	return cmd
}
