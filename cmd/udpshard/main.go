// Command udpshard is a UDP receiver for Linux: one socket for each core, and every datagram accounted
// for.
package main

import (
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
)

// init keeps the main thread for the main goroutine. A shard on the main thread would change the
// name and the CPU that ps and taskset show for the process.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	out := &cli.Output{W: stdout}
	root := rootCommand(out)
	root.SetErr(stderr)
	root.SetArgs(args)
	err := root.Execute()
	if err == nil {
		err = out.Err
	}
	if err != nil {
		cli.PrintError(stderr, err)
	}
	return cli.ExitCode(err)
}

func rootCommand(stdout io.Writer) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:           "udpshard",
		Short:         "A UDP receiver for Linux: one socket for each core, every datagram accounted for",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.NoArguments,
		Long: `Receives UDP datagrams on Linux, with one socket for each CPU, and accounts for
every datagram. The command serve receives; other commands examine the host or a
running instance.` + cli.ExitCodes,
		Example: "  udpshard serve --listen 127.0.0.1:5514",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if showVersion {
				_, err := io.WriteString(cmd.OutOrStdout(), thisBuild().String())
				return err
			}
			return cmd.Help()
		},
	}
	root.SetOut(stdout) // before AddCompletion: cobra keeps the output for its scripts
	root.Flags().BoolVar(&showVersion, "version", false, "print what udpshard version prints")
	root.SetHelpFunc(cli.Help)
	root.SetFlagErrorFunc(cli.FlagError)
	root.AddCommand(serveCommand(), sendCommand(), selftestCommand(), socketsCommand(),
		spoolCommand(), statusCommand(), topCommand(), zoneCommand(), doctorCommand(), healthCommand(), manCommand(), versionCommand())
	root.SetHelpCommand(cli.HelpCommand())
	cli.AddCompletion(root)
	return root
}
