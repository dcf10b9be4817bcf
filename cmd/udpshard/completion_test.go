package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Endings of the output of __complete: what a shell does beside the values.
var (
	noFiles = fmt.Sprint(":", cobra.ShellCompDirectiveNoFileComp)
	noSpace = fmt.Sprint(":", cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace)
	files   = fmt.Sprint(":", cobra.ShellCompDirectiveDefault)
	folders = fmt.Sprint(":", cobra.ShellCompDirectiveFilterDirs)
)

// offered is what a shell offers for each flag, or for the flag of one command. Switches have true
// and false.
var offered = map[string]string{
	"config":                 files,
	"http-token-file":        files,
	"takeover":               files,
	"template":               files,
	"send verify":            files,
	"zone":                   files,
	"spool":                  folders,
	"zone-dir":               folders,
	"format":                 "json rfc5424 original dnstap " + noFiles,
	"log-format":             "auto console json " + noFiles,
	"log-level":              "debug info warn error " + noFiles,
	"output":                 "stdout discard file: " + noSpace,
	"protocol":               "syslog dns raw echo discard " + noFiles,
	"selftest protocol":      "syslog raw echo discard " + noFiles,
	"steer":                  "auto hash cpu source spray " + noFiles,
	"serve to":               "tcp:// tls:// relp:// relp+tls:// udp:// http:// https:// nats:// kafka:// dnstap+unix:// dnstap+tcp:// " + noSpace,
	"send to":                noFiles,
	"spool to":               noFiles,
	"allow":                  noFiles,
	"batch":                  noFiles,
	"busy-poll":              noFiles,
	"count":                  noFiles,
	"cpus":                   noFiles,
	"drain-timeout":          noFiles,
	"duration":               noFiles,
	"flows":                  noFiles,
	"gso":                    noFiles,
	"heavy":                  noFiles,
	"http":                   noFiles,
	"http-hosts":             noFiles,
	"interval":               noFiles,
	"listen":                 noFiles,
	"listener":               noFiles,
	"max-datagram":           noFiles,
	"pid":                    noFiles,
	"rate":                   noFiles,
	"rate-limit":             noFiles,
	"rate-limit-prefix-ipv4": noFiles,
	"rate-limit-prefix-ipv6": noFiles,
	"receive-buffer":         noFiles,
	"rrl":                    noFiles,
	"rrl-slip":               noFiles,
	"rrl-all":                noFiles,
	"rrl-exempt":             noFiles,
	"nsid":                   noFiles,
	"cookie-rotate":          noFiles,
	"cookie-secret-file":     files,
	"shards":                 noFiles,
	"sinkhole":               noFiles,
	"since":                  noFiles,
	"size":                   noFiles,
	"spray-above":            noFiles,
	"stall-after":            noFiles,
	"standby-after":          noFiles,
	"stats-interval":         noFiles,
	"threads":                noFiles,
	"timeout":                noFiles,
	"wait":                   noFiles,
}

// complete returns what the program answers to a shell for the last argument.
func complete(t *testing.T, args ...string) string {
	t.Helper()
	var out, errors bytes.Buffer
	if code := run(append([]string{cobra.ShellCompNoDescRequestCmd}, args...), &out, &errors); code != 0 {
		t.Errorf("%q: exit code %d: %s", args, code, &errors)
	}
	return strings.Join(strings.Fields(out.String()), " ")
}

// Every flag of every command has its values, and files are offered only where files go.
func TestFlagCompletion(t *testing.T) {
	allCommands(rootCommand(io.Discard), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			want, known := offered[cmd.Name()+" "+f.Name]
			if !known {
				want, known = offered[f.Name]
			}
			if f.Value.Type() == "bool" {
				want, known = "true false "+noFiles, true
			}
			if !known {
				t.Errorf("%s --%s: what does a shell offer?", cmd.CommandPath(), f.Name)
			}
			if got := complete(t, append(slices.Clone(path), "--"+f.Name+"=")...); got != want {
				t.Errorf("%s --%s: %s, want %s", cmd.CommandPath(), f.Name, got, want)
			}
		})
	})
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("logs/old", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("logs/a.json", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"se"}, "selftest send serve " + noFiles},
		{[]string{"serve", "--ste"}, "--steer " + noFiles},
		{[]string{"serve", "--steer", "s"}, "source spray " + noFiles},
		{[]string{"serve", ""}, noFiles},
		{[]string{"serve", "--output", "d"}, "discard " + noFiles},
		{[]string{"serve", "--output", "file:lo"}, "file:logs/ " + noSpace},
		{[]string{"serve", "--output", "file:logs/"}, "file:logs/a.json file:logs/old/ " + noSpace},
		{[]string{"serve", "--output", "file:logs/a"}, "file:logs/a.json " + noFiles},
		{[]string{"serve", "--output", "file:no/such"}, noFiles},
		{[]string{"spool", ""}, folders},
		{[]string{"spool", "x", ""}, noFiles},
		{[]string{"man", ""}, folders},
		{[]string{"sockets", ""}, noFiles},
		{[]string{"version", ""}, noFiles},
	} {
		if got := complete(t, c.args...); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}

// Each shell offers the values of --log-format, with the script that the program prints.
func TestCompletionInShells(t *testing.T) {
	for shell, script := range map[string]string{
		"bash": `source /usr/share/bash-completion/bash_completion
			source ./script
			COMP_WORDS=(udpshard serve --log-format "") COMP_CWORD=3 COMP_LINE="udpshard serve --log-format "
			COMP_POINT=${#COMP_LINE} COMP_TYPE=9
			__start_udpshard
			echo ${COMPREPLY[@]}`,
		"fish": `source ./script
			echo (complete -C "udpshard serve --log-format ")`,
		"zsh": `zmodload zsh/zpty
			zpty inner zsh -f -i
			zpty -w inner "autoload -U compinit; compinit -u -D; source ./script"
			zpty -w inner 'udpshard() { if [[ $1 == __complete ]]; then command udpshard "$@"; else print -r "got: $3"; fi }'
			for begin in a c j; do
				zpty -w inner "udpshard serve --log-f"$'\t'"$begin"$'\t'
				zpty -r inner line $'*got: [a-z]*\n'
				print -r -- ${${line##*got: }%%$'\r\n'*}
			done`,
	} {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skipf("needs %s (Debian: apt install %[1]s)", shell)
			}
			if _, err := os.Stat("/usr/share/bash-completion/bash_completion"); err != nil && shell == "bash" {
				t.Skip("needs bash-completion (Debian: apt install bash-completion)")
			}
			program, folder := builtProgram(t), t.TempDir()
			var completion, errors bytes.Buffer
			if code := run([]string{"completion", shell}, &completion, &errors); code != 0 {
				t.Fatalf("exit code %d: %s", code, &errors)
			}
			if err := os.WriteFile(filepath.Join(folder, "script"), completion.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), scriptTimeout)
			defer cancel()
			cmd := exec.CommandContext(ctx, shell, "-c", script)
			cmd.WaitDelay = time.Second // the inner zsh may keep the standard output
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), "HOME="+folder, "TERM=dumb", "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"))
			out, err := cmd.Output()
			got := strings.Fields(string(out))
			slices.Sort(got)
			if want := []string{"auto", "console", "json"}; err != nil || !slices.Equal(got, want) {
				t.Errorf("%q (%v), want %q", out, err, want)
			}
		})
	}
}
