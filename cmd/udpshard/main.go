// Command udpshard is a UDP front door for Linux: one socket to a core, and
// every datagram accounted for.
package main

import (
	"fmt"
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
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Example:       "  udpshard serve --listen 127.0.0.1:5514",
	}
	out := &cli.Output{W: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	root.SetArgs(args)
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(serveCommand(), sendCommand(), selftestCommand(), socketsCommand(), doctorCommand(), healthCommand(), versionCommand())
	root.SetHelpCommand(helpCommand())
	addCompletion(root)
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

// noArguments refuses arguments; for a command of several they are commands that
// do not exist.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	what, hint := "takes no arguments", cmd.CommandPath()+" --help"
	if cmd.HasSubCommands() {
		what, hint = "has no such command", cmd.CommandPath()+" --help lists the commands"
		if meant := cli.Nearest(args[0], commandNames(cmd)); meant != "" {
			hint = cli.DidYouMean(cmd.CommandPath() + " " + meant)
		}
	}
	return cli.WithHint(cli.Usage(fmt.Errorf("%q: %s %s", args[0], cmd.CommandPath(), what)), hint)
}

const helpTemplate = `{{with or .Long .Short}}{{. | trimTrailingWhitespaces}}
{{end}}
Usage:
  {{if .HasAvailableSubCommands}}{{.CommandPath}} COMMAND{{else}}{{.UseLine}}{{end}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasExample}}
Example:
{{.Example}}
{{end}}`
