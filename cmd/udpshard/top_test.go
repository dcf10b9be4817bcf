package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/top"
	"github.com/udpshard/udpshard/metrics"
)

// startWatched starts an instance with two shards under a load, for top.
func startWatched(t *testing.T, more ...string) *process {
	t.Helper()
	requireProgram(t, "tmux", "tmux")
	address := freePort(t)
	p := startServe(t, nil, append([]string{"--listen", address, "--shards", "2", "--output", "discard"}, more...)...)
	p.startLoad(address, "--rate", "5000")
	return p
}

func TestTopScreen(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	w := newTerminal(t, 80, 24)
	w.start("udpshard top --http " + p.http)
	screen := w.shows(`^> \S+ +[1-9]\d*,\d{3} +[1-9]\d*,\d{3} +\S+B +0 +0 +0 +\d+% +\d+%.*[▁-█]`)
	for _, want := range []string{
		`^` + regexp.QuoteMeta(p.http) + `  active  \S+  pid ` + strconv.Itoa(p.pid()) + `  started \d+ s ago +\d\d:\d\d:\d\d$`,
		`^Nothing lost since 20\d\d-\d\d-\d\d \d\d:\d\d$`,
		`^    0 .*\n    1 `,
		`^\S+: syslog at 127`,
		`\nq quit  \? help .* by listener\n$`,
	} {
		if !regexp.MustCompile("(?m)" + want).MatchString(screen) {
			t.Errorf("the screen does not match %q:\n%s", want, screen)
		}
	}
	if n := strings.Count(screen, "\n"); n != 24 {
		t.Errorf("got %d lines, want 24:\n%s", n, screen)
	}

	w.resize(160, 50)
	screen = w.shows(`^  listener +received/s +delivered/s`)
	if !regexp.MustCompile(`by listener\n$`).MatchString(screen) || strings.Count(screen, "\n") != 50 {
		t.Errorf("160x50:\n%s", screen)
	}
	w.resize(80, 24)
	w.shows(`^  listener +recv/s +deliv/s`)

	w.press("s")
	w.shows(`by recv/s$`)
	w.press("r")
	w.shows(`by recv/s, reversed$`)
	w.press("<")
	w.shows(`by listener, reversed$`)
	w.shows(`^    1 .*\n    0 `)
	w.press("Down")
	w.shows(`^>   1 (.*\n)+.*, shard 1: CPU \d+, thread \d+`)
	w.press("Tab")
	if screen = w.shows(`^> \S.*\n\n`); strings.Contains(screen, "\n    0 ") {
		t.Errorf("shards are shown:\n%s", screen)
	}
	w.press("?")
	w.shows(`^  Space +pause, or go on$`)
	w.press("x")
	w.shows(`^> \S`)

	w.press("Space")
	paused := w.shows(`PAUSED \d\d:\d\d:\d\d$`)
	before := metrics.Sum(p.status().Listeners[0].Shards).Received
	eventually(t, "more datagrams have come", func() bool {
		return metrics.Sum(p.status().Listeners[0].Shards).Received > before+10_000
	})
	if screen = w.screen(); screen != paused {
		t.Errorf("got another screen during a pause:\n%s\nbefore\n%s", screen, paused)
	}
	w.press("Space")
	w.shows(`^> \S+ +[1-9].*(\n.*)+by listener, reversed$`)
	w.press("q")
	w.wantClean(cli.ExitDone)
	if screen = w.screen(); strings.Contains(screen, "listener") {
		t.Errorf("the screen of top is left:\n%s", screen)
	}
}

// The terminal is as before at each end of top.
func TestTopLeavesTerminalClean(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	w := newTerminal(t, 80, 24)
	for _, end := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, nil} {
		w.run("clear; echo cleared")
		w.shows(`\Acleared\nshell>$`)
		w.start("sh -c 'echo $$ >" + w.dir + "/pid; exec udpshard top --http " + p.http + "'")
		w.shows(`^> \S+ +[1-9]`)
		if end == nil {
			w.press("C-c")
		} else {
			text, err := os.ReadFile(filepath.Join(w.dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Kill(pid, end.(unix.Signal)); err != nil {
				t.Fatal(err)
			}
		}
		w.wantClean(cli.ExitDone)
	}
}

// topPanicsName is a program that shows a screen of top, and panics.
const topPanicsName = "top-panics"

// runTopPanics shows a screen without an instance: the text of its first line is out of range.
func runTopPanics() {
	if err := top.Run(context.Background(), os.Stdout, top.Config{Interval: time.Second}); err != nil {
		os.Exit(cli.ExitFailed)
	}
}

func TestTopPanics(t *testing.T) {
	t.Parallel()
	w := newTerminal(t, 80, 24)
	w.start(topPanicsName + " 2>" + filepath.Join(w.dir, "panic"))
	w.wantClean(cli.ExitFailed)
	if text, err := os.ReadFile(filepath.Join(w.dir, "panic")); err != nil || !strings.Contains(string(text), "index out of range") {
		t.Errorf("got %q, %v", text, err)
	}
}

// top goes on after the end of the instance, a restart, and a takeover.
func TestTopFollowsInstance(t *testing.T) {
	t.Parallel()
	requireProgram(t, "tmux", "tmux")
	address, dir := freePort(t), publicDir(t)
	args := takeoverArgs(dir, address, "--shards", "1", "--output", "discard")
	p := startServe(t, asNobody, args...)
	p.startLoad(address, "--rate", "1000")
	w := newTerminal(t, 100, 24)
	w.start("udpshard top --interval 100ms --http " + p.http)
	w.shows(`^> \S+ +[1-9]`)
	first := strconv.Itoa(p.pid())
	p.kill()
	w.shows(`^AWAY: no instance answers at ` + p.http + `.*connection refused`)
	w.shows(`^> \S+ +- +- +- +0 +- +- `)

	next := launch(t, asNobody, append([]string{"serve", "--http", p.http, "--log-format", "json"}, args...)...)
	next.http = p.http
	second := strconv.Itoa(next.pid())
	w.shows(`: pid ` + second + ` has replaced pid ` + first + `: the counters begin anew$`)
	w.shows(`^> \S+ +[1-9]`)

	last := next.upgrade(args...)
	w.shows(`: pid ` + strconv.Itoa(last.pid()) + ` has taken over from pid ` + second + `: the counters go on$`)
	w.shows(`^> \S+ +[1-9]`)
	w.press("q")
	w.wantClean(cli.ExitDone)
}

// A loss is in the verdict, with its remedy; a target that fails is in the table of targets.
func TestTopShowsLossesAndTargets(t *testing.T) {
	t.Parallel()
	requireProgram(t, "tmux", "tmux")
	address, target := freePort(t), freePort(t)
	p := startServe(t, nil, "--listen", address, "--shards", "1", "--receive-buffer", "4KiB",
		"--spool", t.TempDir(), "--to", "tcp://"+target)
	w := newTerminal(t, 80, 24)
	w.start("udpshard top --http " + p.http)
	w.shows(`^Nothing lost since`)
	s := newSenders(t, address, 1)
	p.sigstop()
	s.burst(0, 1000)
	p.signal(unix.SIGCONT)
	w.shows(`^LOSING: \d+ lost on \S+, shard 0, last \d+ s ago: the receive`)
	w.shows(`^remedy: `)
	w.shows(`^> \S+ +\d+ +\d+ +\S+ +[1-9]\d*`)
	w.shows(`^  tcp://` + target + ` +0 +[1-9]\d* +\d+ s ago +0  dial tcp.*`)
	w.press("q")
	w.wantClean(cli.ExitDone)
}

// With several instances, rows are apart or summed, and an instance that does not answer is named.
func TestTopOfSeveralInstances(t *testing.T) {
	t.Parallel()
	a, b, none := startWatched(t), startWatched(t), freePort(t)
	w := newTerminal(t, 80, 24)
	w.start("udpshard top --http " + a.http + " --http " + b.http + " --http " + none)
	w.shows(`^2 of 3 instances answer`)
	w.shows(`^AWAY: no instance answers at ` + none)
	w.shows(`^> ` + a.http + `  active .*\n    \S+ +[1-9].*\n      0 .*\n      1 .*\n  ` + b.http + `  active .*\n    \S+ +[1-9].*\n(.*\n)+  ` + none + `  away$`)
	w.press("i")
	w.shows(`^> \S+ +[1-9].*\n    ` + a.http + ` +[1-9].*\n`)
	w.press("q")
	w.wantClean(cli.ExitDone)
}

// Colors need a terminal, and no NO_COLOR.
func TestTopWithoutColor(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	color := regexp.MustCompile("\x1b\\[(\\d+;)*[34][1-7]m")
	for _, c := range []struct {
		env  string
		want bool
	}{{"NO_COLOR=", true}, {"NO_COLOR=1", false}} {
		w := newTerminal(t, 80, 24, c.env)
		w.start("udpshard top --http " + p.http)
		w.shows(`^> \S+ +[1-9]`)
		if screen := w.screen("-e"); color.MatchString(screen) != c.want {
			t.Errorf("%s: want colors %t:\n%q", c.env, c.want, screen)
		}
		w.press("q")
		w.wantClean(cli.ExitDone)
	}
}

// A dumb terminal gets one table.
func TestTopOnDumbTerminal(t *testing.T) {
	t.Parallel()
	p := startWatched(t)
	w := newTerminal(t, 120, 24)
	w.start("TERM=dumb udpshard top --http " + p.http)
	w.wantClean(cli.ExitDone)
	w.shows(`^listener +received/s .*\n\S+ +\d.*\n  0 +\d.*\n  1 +\d`)
}
