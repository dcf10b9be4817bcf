package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed lines.txt
var lines []byte

// lab is what all comparisons use.
type lab struct {
	options
	out  io.Writer
	dir  string // temporary
	cpus []int
	has  map[string]string // paths of programs by name; no path: not here
	skip []string          // what was not measured, and what is needed for that
	hide []string          // replaced in the report: ports of sinks, each with what is shown
}

func newLab(ctx context.Context, o options, out io.Writer) (*lab, error) {
	cpus, err := usableCPUs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "udpshard-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, out: out, dir: dir, cpus: cpus, has: make(map[string]string)}
	if err := l.build(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) close() { os.RemoveAll(l.dir) }

func (l *lab) logf(format string, args ...any) { fmt.Fprintf(l.out, format+"\n", args...) }

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// build compiles the programs of this repository, and finds the installed ones.
func (l *lab) build(ctx context.Context) error {
	for name, at := range map[string]struct{ module, pkg string }{"udpshard": {".", "./cmd/udpshard"}, "receivers": {"bench", "./receivers"}} {
		l.has[name] = l.path(name)
		if err := output(exec.CommandContext(ctx, "go", "build", "-C", at.module, "-o", l.has[name], at.pkg)); err != nil {
			return err
		}
	}
	if cc, err := exec.LookPath("cc"); err == nil {
		l.has["cc"], l.has["floor"] = cc, l.path("floor")
		if err := output(exec.CommandContext(ctx, cc, "-O2", "-o", l.has["floor"], "bench/floor.c")); err != nil {
			return err
		}
	}
	for _, name := range []string{"rsyslogd", "knotd", "nsd", "dnsperf", "kcat"} {
		if found, err := exec.LookPath(name); err == nil {
			l.has[name] = found
		}
	}
	if found, err := exec.LookPath(filepath.Join(l.syslogNG, "usr/sbin/syslog-ng")); l.syslogNG != "" {
		if err != nil {
			return fmt.Errorf("--syslog-ng: %w", err)
		}
		l.has["syslog-ng"] = found
	} else if found, err := exec.LookPath("syslog-ng"); err == nil {
		l.has["syslog-ng"] = found
	}
	return os.WriteFile(l.path("lines.txt"), lines, 0o600)
}

// output runs a command to its end. An error has the command's output.
func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// lacks records that something can't be measured.
func (l *lab) lacks(what, remedy string) {
	l.logf("skipped: %s: %s", what, remedy)
	l.skip = append(l.skip, fmt.Sprintf("%s: %s", what, remedy))
}

// senderCPU returns the last CPU. Receivers have the CPUs before, if any.
func (l *lab) senderCPU() int { return l.cpus[len(l.cpus)-1] }

// receiverCPUs returns n CPUs for a receiver, without the sender's if enough are left.
func (l *lab) receiverCPUs(n int) []int {
	return l.cpus[:min(n, len(l.cpus))]
}

// freePort returns a port of 127.0.0.1 without a UDP socket.
func freePort() (int, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	return conn.LocalAddr().(*net.UDPAddr).Port, conn.Close()
}

// shown returns a command line for the report, without paths of this machine and of this run.
func (l *lab) shown(argv []string) string {
	words := make([]string, 0, len(argv))
	for i, word := range argv {
		switch {
		case i == 0:
			word = filepath.Base(word)
		case word == "":
			word = "''"
		}
		if l.syslogNG != "" {
			word = strings.ReplaceAll(word, l.syslogNG, "DIR")
		}
		words = append(words, strings.ReplaceAll(replace(word, l.hide...), l.dir, "DIR"))
	}
	return strings.Join(words, " ")
}
