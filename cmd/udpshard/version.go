package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/buildinfo"
	"github.com/udpshard/udpshard/internal/cli"
)

// version and commit are set by the linker (-X main.version=…). The default is the version and the
// commit that the go command has recorded in the binary.
var version, commit string

func thisBuild() buildinfo.Info { return buildinfo.Read(version, commit) }

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print version, commit, Go version and kernel",
		Args:    cli.NoArguments,
		Example: "  udpshard version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), thisBuild().String())
			return err
		},
	}
}
