package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/udpshard/udpshard/internal/cli"
)

// allCommands calls f with each command that users see.
func allCommands(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			allCommands(c, f)
		}
	}
}

// Help of every command goes to standard output, has at most 80 columns before the example, and
// no trailing spaces.
func TestHelpFitsTerminal(t *testing.T) {
	allCommands(rootCommand(), func(cmd *cobra.Command) {
		var out, errors bytes.Buffer
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if code := run(args, &out, &errors); code != cli.ExitDone || errors.Len() > 0 {
			t.Errorf("%s: exit code %d, standard error %q", args, code, &errors)
		}
		text, example, _ := strings.Cut(out.String(), "\nExample:\n")
		if !strings.HasPrefix(example, "  udpshard ") {
			t.Errorf("%s: example %q", args, example)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if n := cli.Width(line); n > 80 || line != strings.TrimRight(line, " ") {
				t.Errorf("%s: %d columns: %q", args, n, line)
			}
		}
	})
}
