package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// Two processes that take each other for stalled again and again wait longer and longer,
// and what has happened goes along: the counts, and the patience.
func TestRepeatedTakeoversDoublePatience(t *testing.T) {
	const after = 100 * time.Millisecond
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1", "--standby-after", after.String())
	p := startServe(t, asNobody, args...)
	var stalled uint64
	last := time.Time{}
	for {
		next := p.startStandby(args...)
		p.sigstop()
		newSenders(t, address, 1).send(100, 0)
		next.waitForLog(`"reason":"stalled"`)
		stalled++
		var line struct{ Patience, NextPatience, Reason string }
		for text := range strings.Lines(next.logs.String()) {
			var of struct {
				Message      string
				Patience     string
				NextPatience string `json:"next_patience"`
				Stalled      string
			}
			if json.Unmarshal([]byte(text), &of) == nil && strings.HasPrefix(of.Message, "takeover finished") {
				line.Patience, line.NextPatience, line.Reason = of.Patience, of.NextPatience, of.Stalled
			}
		}
		_, away, _ := strings.Cut(line.Reason, "has not read for ")
		away, _, _ = strings.Cut(away, ",")
		waited, err := time.ParseDuration(away)
		patience, wrong := time.ParseDuration(line.Patience)
		if err != nil || wrong != nil || waited < patience {
			t.Errorf("it has waited for %s where its patience is %s: %s", waited, patience, line.Reason)
		}
		p.signal(unix.SIGCONT)
		p.wantExit(cli.ExitReplaced)
		status := next.status().Takeovers
		if status.Stalled != stalled || status.Last == nil || status.Last.Reason != "stalled" || status.Upgrade+status.Stop+status.Died+status.Restart != 0 {
			t.Errorf("after %d: %+v", stalled, status)
		}
		gap := time.Since(last)
		p, last = next, time.Now()
		t.Logf("takeover %d: %+v", stalled, line)
		if stalled >= 3 && line.Patience == (2*after).String() && line.NextPatience == (4*after).String() {
			break // the second doubled it, and the third again
		}
		if stalled >= 3 && gap < 20*time.Second || stalled == 10 {
			t.Fatalf("%d takeovers within a minute, and the patience is %+v", stalled, line)
		}
	}
	if got := p.counters()[`udpshard_takeovers_total{reason="stalled"`]; got != float64(stalled) {
		t.Errorf("the metric is %v", got)
	}
	next := p.startStandby(args...)
	p.wantStop()
	eventually(t, "it is the one that answers", func() bool { return activePID(next.http) == next.pid() })
	next = next.upgrade(args...)
	dead := next.startStandby(args...)
	next.cmd.Process.Kill()
	dead.waitForLog(`"reason":"died"`)
	eventually(t, "it is the one that answers", func() bool { return activePID(dead.http) == dead.pid() })
	if got := dead.status().Takeovers; got.Stalled != stalled || got.Stop != 1 || got.Upgrade != 1 || got.Died != 1 || got.Last.Reason != "died" {
		t.Errorf("%+v", got)
	}
}
