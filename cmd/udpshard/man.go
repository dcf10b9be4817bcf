package main

import (
	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
)

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages of all commands",
		Long: `Writes the man pages udpshard.1, udpshard-serve.1 and so on to the folder DIR,
and makes the folder if it is missing. The pages have the text of --help. All
runs of one version write the same bytes.`,
		Args:              cli.OneArgument("DIR", "./man1"),
		ValidArgsFunction: cli.CompleteFolder,
		Example: `  udpshard man ./man1 && man ./man1/udpshard-serve.1
  sudo udpshard man /usr/local/share/man/man1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return cli.WriteManPages(cmd.Root(), args[0], "udpshard "+thisBuild().Version)
		},
	}
}
