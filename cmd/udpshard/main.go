// Command udpshard is a UDP front door for Linux: one socket to a core, and
// every datagram accounted for.
package main

import (
	"io"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
)

// The main thread is the main goroutine's: a shard that got it would give its
// own name and CPU to what ps and taskset take for the process.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "udpshard",
		Short:         "A UDP front door for Linux: one socket to a core, every datagram accounted for",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cli.NoArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example:       "  udpshard serve --listen 127.0.0.1:5514",
	}
	out := &cli.Output{W: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetHelpTemplate(cli.HelpTemplate)
	root.SetFlagErrorFunc(cli.FlagError)
	root.AddCommand(serveCommand(), sendCommand(), selftestCommand(), socketsCommand(), doctorCommand(), healthCommand(), versionCommand())
	root.SetHelpCommand(cli.HelpCommand())
	cli.AddCompletion(root)
	root.InitDefaultHelpFlag()

	err := root.Execute()
	if err == nil {
		err = out.Err
	}
	if err != nil {
		cli.PrintError(stderr, err)
	}
	return cli.ExitCode(err)
}
