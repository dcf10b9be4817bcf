// Command udpshard is a UDP receiver for Linux: one socket for each core, and every datagram accounted
// for.
package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// init keeps the main thread for the main goroutine. A shard on the main thread would change the
// name and the CPU that ps and taskset show for the process.
func init() { runtime.LockOSThread() }

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "udpshard",
		Short:         "A UDP receiver for Linux: one socket for each core, every datagram accounted for",
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
	root.AddCommand(serveCommand(), sendCommand(), selftestCommand(), socketsCommand(),
		spoolCommand(), statusCommand(), doctorCommand(), healthCommand(), versionCommand())
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

// interruptContext returns a context that ends with SIGINT or SIGTERM. A second signal ends the
// process.
func interruptContext() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
