package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// Processes replace each other as stalled several times within a minute: the patience of standbys
// doubles with each takeover. Patience and counts of takeovers survive takeovers of all kinds.
func TestRepeatedTakeoversDoublePatience(t *testing.T) {
	const after = 100 * time.Millisecond
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1", "--standby-after", after.String())
	p := startServe(t, asNobody, args...)
	var stalled uint64
	previous := time.Time{}
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
			t.Errorf("got a wait of %s, want at least the patience of %s: %s", waited, patience, line.Reason)
		}
		p.signal(unix.SIGCONT)
		p.wantExit(cli.ExitReplaced)
		status := next.status().Takeovers
		if status.Stalled != stalled || status.Last == nil || status.Last.Reason != "stalled" || status.Upgrade+status.Stop+status.Died+status.Restart != 0 {
			t.Errorf("got %+[2]v after %[1]d takeovers as stalled", stalled, status)
		}
		gap := time.Since(previous)
		p, previous = next, time.Now()
		t.Logf("takeover %d: %+v", stalled, line)
		if stalled >= 3 && line.Patience == (2*after).String() && line.NextPatience == (4*after).String() {
			break // doubled at the second and at the third takeover
		}
		if stalled >= 3 && gap < 20*time.Second || stalled == 10 {
			t.Fatalf("after %d takeovers within a minute: got %+v, want a doubled patience", stalled, line)
		}
	}
	if got := p.counters()[`udpshard_takeovers_total{reason="stalled"`]; got != float64(stalled) {
		t.Errorf("got %v takeovers as stalled in the metrics, want %d", got, stalled)
	}
	next := p.startStandby(args...)
	p.wantStop()
	eventually(t, "the new active process answers", func() bool { return activePID(next.http) == next.pid() })
	next = next.upgrade(args...)
	standby := next.startStandby(args...)
	next.cmd.Process.Kill()
	standby.waitForLog(`"reason":"died"`)
	eventually(t, "the new active process answers", func() bool { return activePID(standby.http) == standby.pid() })
	if got := standby.status().Takeovers; got.Stalled != stalled || got.Stop != 1 || got.Upgrade != 1 || got.Died != 1 || got.Last.Reason != "died" {
		t.Errorf("got %+v, want %d takeovers as stalled and one of each other kind", got, stalled)
	}
}
