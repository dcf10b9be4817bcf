package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/zonecheck"
)

func zoneCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "zone [ORIGIN=]FILE...",
		Short: "Check zone files, and print the records that would be answered from",
		Long: `Reads zone files as serve --protocol dns --zone does, and prints the records that
would be answered from: one a line with owner, TTL, class, type and data, sorted
by owner, with full names. Errors and warnings have the file and the line.

Exit code 1 if a zone has warnings, which serve logs; 78 if a zone has an error,
with which serve would not answer from the zone.`,
		Args:              atLeastOneZone,
		ValidArgsFunction: cli.CompleteFiles,
		Example: `  udpshard zone example.org.zone
  udpshard zone example.org=/etc/zones/db.example >served.txt`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return zonecheck.Run(args, cli.Direct(cmd.OutOrStdout()), cmd.ErrOrStderr())
		},
	}
}

func atLeastOneZone(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return nil
	}
	err := errors.New("udpshard zone takes at least one FILE, such as example.org.zone")
	return cli.WithHint(cli.Usage(err), "udpshard zone example.org.zone")
}
