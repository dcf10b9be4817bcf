// Command udpshard is a UDP front door for Linux: one socket to a core, and
// every datagram accounted for.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes (README.md, Configuration). 64 and 78 are those of sysexits.h (4.3BSD), which
// systemd and others name in their logs. 2 is not among them: a panic and a fatal error of the
// Go runtime end a process with it, and what supervises the process has to start it again.
const (
	exitDone     = 0
	exitFailed   = 1  // while running
	exitReplaced = 3  // a standby has taken over, since this process seemed dead
	exitUsage    = 64 // EX_USAGE: a command or a flag of the command line can't be used
	exitConfig   = 78 // EX_CONFIG: the file, or a variable of the environment, can't be used
)

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// configError is an error in the file, in the environment, or in what these lead to.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

// unusable is the error of a setting, whose place says of which of the two kinds it is. Its hint
// is the value that was probably meant, if there is one.
func unusable(place string, err error) error {
	var meant suggestion
	if errors.As(err, &meant) {
		err = hinted{err, suggestedAt(place, meant.value)}
	}
	err = fmt.Errorf("%s: %w", place, err)
	if strings.HasPrefix(place, "--") {
		return usageError{err}
	}
	return configError{err}
}

// exitCode is the process's, of the error that it ends with.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(usageError)):
		return exitUsage
	case errors.As(err, new(configError)):
		return exitConfig
	case errors.As(err, new(replacedError)):
		return exitReplaced
	}
	return exitFailed
}

// hinted is an error with a remedy.
type hinted struct {
	error
	hint string
}

func (e hinted) Hint() string  { return e.hint }
func (e hinted) Unwrap() error { return e.error }

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
	out := &checked{w: stdout}
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
		err = out.err
	}
	if err != nil {
		printError(stderr, err)
	}
	return exitCode(err)
}

// printError prints each error with its remedy below it.
func printError(w io.Writer, err error) {
	var text strings.Builder
	for _, err := range separate(err) {
		fmt.Fprintln(&text, "udpshard: error:", err)
		if hint := hintOf(err); hint != "" {
			fmt.Fprintln(&text, "udpshard: hint:", hint)
		}
	}
	writeLast(w, text.String())
}

// hintOf returns the remedy of an error, or "".
func hintOf(err error) string {
	var remedy interface{ Hint() string }
	if !errors.As(err, &remedy) {
		return ""
	}
	return remedy.Hint() // one of another process may have none
}

// lastTimeout is how long a standard error may take the last lines before the process
// exits without them: one that is a pipe that nobody reads takes nothing, and the standby
// waits for the end of this process.
const lastTimeout = time.Second

// writeLast writes a text, for as long as lastTimeout. The caller exits next: the write
// may still be under way.
func writeLast(w io.Writer, text string) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		io.WriteString(w, text)
	}()
	select {
	case <-written:
	case <-time.After(lastTimeout):
	}
}

// checked is a standard output that keeps its first error for the end: most of who
// writes there looks at none.
type checked struct {
	w   io.Writer
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	if c.err == nil {
		_, c.err = c.w.Write(p)
	}
	return len(p), nil
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
		if meant := nearest(args[0], commandNames(cmd)); meant != "" {
			hint = didYouMean(cmd.CommandPath() + " " + meant)
		}
	}
	return hinted{usageError{fmt.Errorf("%q: %s %s", args[0], cmd.CommandPath(), what)}, hint}
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
