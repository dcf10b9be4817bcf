package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
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
	allCommands(rootCommand(io.Discard), func(cmd *cobra.Command) {
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

// Every setting has its flag in a group of serve: under "Flags" are only flags that are no settings.
func TestServeFlagGroups(t *testing.T) {
	var out, errors bytes.Buffer
	run([]string{"serve", "--help"}, &out, &errors)
	headings := regexp.MustCompile(`(?m)^(.*)lags:$`).FindAllString(out.String(), -1)
	want := []string{"Flags:", "Listener flags:", "Output flags:", "DNS flags:", "Lifecycle flags:", "Process flags:"}
	if !slices.Equal(headings, want) {
		t.Errorf("groups %q, want %q", headings, want)
	}
	_, others, _ := strings.Cut(out.String(), "\nFlags:\n")
	others, _, _ = strings.Cut(others, "\n\n")
	names := regexp.MustCompile(`(?m)^ {2,6}(-h, )?--[a-z-]+`).FindAllString(others, -1)
	if want := []string{"      --config", "      --check", "  -h, --help"}; !slices.Equal(names, want) {
		t.Errorf("flags without a group: %q, want %q", names, want)
	}
}

// The help of serve and docs/configuration.md name the same variables of the environment.
func TestServeEnvironment(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var help, errors bytes.Buffer
	run([]string{"serve", "--help"}, &help, &errors)
	names := func(text, from, to, lines string) (all []string) {
		_, text, _ = strings.Cut(text, from)
		text, _, _ = strings.Cut(text, to)
		for _, line := range regexp.MustCompile(lines).FindAllString(text, -1) {
			all = append(all, regexp.MustCompile(`[A-Z][A-Z_]+`).FindAllString(line, -1)...)
		}
		slices.Sort(all)
		return all
	}
	documented := names(string(page), "\n## Environment\n", "\n## ", "(?m)^\\| `[^|]*\\|")
	helped := names(help.String(), "\nEnvironment:\n", "\n\n", `(?m)^[A-Z]\S+( \S+)*`)
	if len(helped) == 0 || !slices.Equal(helped, documented) {
		t.Errorf("help has %q, the page %q", helped, documented)
	}
}
