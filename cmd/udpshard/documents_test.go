package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/steer"
)

// documents returns the text of README.md and of all pages in docs and deploy.
func documents(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../deploy/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}

// All flags, commands, exit codes, metrics, kinds of steering change and some keys of the status
// are documented.
func TestAllNamesAreDocumented(t *testing.T) {
	text := documents(t)
	documented := func(what, name string) {
		t.Helper()
		if !regexp.MustCompile("[`.{ ]" + regexp.QuoteMeta(name) + "[^a-z0-9_-]").MatchString(text) {
			t.Errorf("no document has %s %s", what, name)
		}
	}
	serveCommand().Flags().VisitAll(func(f *pflag.Flag) { documented("the flag", "--"+f.Name) })
	commands := []*cobra.Command{
		sendCommand(), selftestCommand(), socketsCommand(), doctorCommand(), healthCommand(),
	}
	for _, cmd := range commands {
		documented("the command", "udpshard "+cmd.Name())
	}
	for _, kind := range steer.Kinds {
		documented("the kind of steering change", string(kind))
	}
	for _, code := range []int{cli.ExitDone, cli.ExitFailed, cli.ExitReplaced, cli.ExitUsage, cli.ExitConfig} {
		documented("the exit code", fmt.Sprintf("| %d |", code)[2:])
	}
	p := startServe(t, nil, "--listen", freePort(t), "--protocol", "dns", "--sinkhole", "192.0.2.1",
		"--output", "discard", "--takeover", filepath.Join(t.TempDir(), "takeover.sock"))
	metrics := p.metrics()
	series := regexp.MustCompile(`(?m)^# TYPE (udpshard_\S+) `)
	for _, match := range series.FindAllStringSubmatch(metrics, -1) {
		documented("the metric", match[1])
	}
	for _, key := range []string{
		"counters_id", "standbys", "takeovers", "patience_factor", "pid_namespace", "in_force",
		"top_senders", "skew", "lost_in_crash",
	} {
		documented("the key of the status", key)
	}
}
