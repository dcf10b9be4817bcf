package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/client"
	"github.com/udpshard/udpshard/internal/config"
)

func healthCommand() *cobra.Command {
	var address, tokenFile string
	timeout := 2 * time.Second
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
			place := "--http"
			if _, set := os.LookupEnv(config.HTTPVariable); set && !cmd.Flags().Changed("http") {
				place = "$" + config.HTTPVariable
			}
			instance, err := client.New(place, address, timeout)
			if err != nil {
				return err
			}
			ctx := cmp.Or(cmd.Context(), context.Background())
			var answer string
			if cmd.Flags().Changed("pid") {
				answer, err = instance.WithTokenFile(tokenFile).Role(ctx, pid)
			} else {
				answer, err = instance.Ready(ctx)
			}
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), answer)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&address, "http", cmp.Or(os.Getenv(config.HTTPVariable), client.DefaultAddress), "`ADDR` of the instance's HTTP server; $"+config.HTTPVariable+" changes the default")
	cli.AddFlag(cmd.Flags(), &timeout, "timeout", cli.ParseDuration, "`DURATION` to wait for the answer")
	cli.AddFlag(cmd.Flags(), &pid, "pid", parsePID, "print the role of the process `N` of this PID namespace; 0 is any process of it")
	client.AddTokenFlag(cmd.Flags(), &tokenFile)
	return cmd
}

func parsePID(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is not a PID, or 0", text)
	}
	return n, nil
}
