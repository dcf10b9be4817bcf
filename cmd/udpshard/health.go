package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
)

func healthCommand() *cobra.Command {
	var at client.Flags
	pid := 0
	cmd := &cobra.Command{
		Use:   "health [flags]",
		Short: "Ask a running instance whether every shard reads; exit 0 or 1",
		Long: `Asks /readyz of a running instance: exit code 0 if every shard reads, else 1 and
the reasons. For HEALTHCHECK and probes.

--pid asks for the role of one process instead, and prints active or standby:
exit code 0 if that process is the instance or a standby of it, else 1. The PID
is that of the PID namespace in which health runs, such as a container's; 0 is
any process of that namespace. The token is needed only with --pid.`,
		Args: cli.NoArguments,
		Example: `  udpshard health --http 127.0.0.1:9514
  docker exec udpshard-b /udpshard health --pid 0`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			instance, err := at.Instance()
			if err != nil {
				return err
			}
			ctx := cmp.Or(cmd.Context(), context.Background())
			var answer string
			if cmd.Flags().Changed("pid") {
				answer, err = instance.Role(ctx, pid)
			} else {
				answer, err = instance.Ready(ctx)
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), answer)
			}
			return err
		},
	}
	at.Define(cmd.Flags())
	cli.AddFlag(cmd.Flags(), &pid, "pid", parsePID, "print the role of the process `N` of this PID namespace; 0 is any process of it")
	return cmd
}

func parsePID(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a PID, or 0", text)
	}
	return n, nil
}
