package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// Ten upgrades in a row, under load: each datagram becomes one record, in the order of its sender,
// and no counter decreases.
func TestUpgradesLoseNothing(t *testing.T) {
	address, file, args := recordingArgs(t)
	p := startServe(t, asNobody, args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	for range 10 {
		before := p.counters()
		next := p.upgrade(args...)
		p.wantExit(cli.ExitDone)
		after := next.status()
		if after.PID != next.pid() || after.Role != metrics.Active {
			t.Errorf("got pid %d with role %s, want pid %d, active", after.PID, after.Role, next.pid())
		}
		wantCountersGrow(t, before, next.counters())
		p = next
		p.waitForLoad(1000)
	}
	r := report()
	total := p.wantAccounted(r, true)
	if r.Records.Total.Lost != total.Dropped.Kernel || total.Dropped.LostInCrash > 0 || total.Dropped.Output > 0 {
		t.Errorf("got %d missing records and ledger %+v, want none lost in a crash or at the output", r.Records.Total.Lost, total)
	}
	p.wantStop()
}

// Upgrades to more and to fewer shards, under load: no datagram is lost.
func TestUpgradesChangeShards(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := func(shards int) []string {
		return takeoverArgs(dir, address, "--shards", strconv.Itoa(shards), "--output", "file:"+file)
	}
	p := startServe(t, asNobody, args(2)...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "64", "--verify", file)
	for _, shards := range []int{4, 1, 3, 2} {
		before := p.total()
		next := p.upgrade(args(shards)...)
		p.wantExit(cli.ExitDone)
		if now := next.total(); now.Received < before.Received || len(next.status().Listeners[0].Shards) != shards {
			t.Errorf("got %+v on %d shards, %+v before", now, shards, before)
		}
		p = next
		p.waitForLoad(1000)
	}
	r, total := report(), p.settledTotal()
	if all, kernel := r.Records.Total, total.Dropped.Kernel; all.Lost != kernel || all.Doubled > 0 || total.Received+kernel != r.Sent {
		t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
}

// Successors fail: with unusable flags, they exit, and the active process reads on. Killed at
// random moments of the takeover, they leave the sockets to the active process, or to a standby
// that is not yet connected to them. No datagram is lost uncounted.
func TestFailedSuccessor(t *testing.T) {
	dir := publicDir(t)
	file, address, socket := filepath.Join(dir, "records.json"), freePort(t), filepath.Join(dir, "takeover.sock")
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "file:" + file}
	p := startServe(t, asNobody, args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	common := []string{"serve", "--http", p.http, "--takeover", socket, "--listen", address}
	for _, wrong := range [][]string{
		{"--batch", "0"},
		{"--output", "file:/nonexistent/folder/x"},
		{"--cpus", "8191"},
	} {
		if code := launch(t, asNobody, append(common, wrong...)...).wait(); code != cli.ExitUsage {
			t.Errorf("%v: got exit code %d, want %d", wrong, code, cli.ExitUsage)
		}
	}
	args = append(args, "--standby-after", "10s")
	standby := p.startStandby(args...)
	failures := func() int { return strings.Count(p.logs.String(), "handover failed") }
	eventually(t, "all failed handovers are logged", func() bool {
		return strings.Count(p.logs.String(), "successor connected") == failures()
	})
	for range 10 {
		failed := failures()
		next := p.launchSuccessor(args...)
		next.waitForLog("takeover started")
		moment := time.Now().Add(rand.N(4 * time.Millisecond))
		for time.Now().Before(moment) {
		}
		next.kill()
		left := false
		eventually(t, "the predecessor has logged the failure, or has handed over", func() bool {
			left = p.hasLogged("handover finished")
			return left || failures() > failed
		})
		if left { // the kill came after the takeover
			p.wantExit(cli.ExitDone)
			p, standby = standby, p.startStandby(args...)
		}
		p.waitUntilReading()
	}
	standby.wantStop()
	r, total := report(), p.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.Kernel+total.Dropped.LostInCrash != r.Sent || all.Doubled > 0 || all.Reordered > 0 || total.Delivered != all.Arrived {
		t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	p.wantStop()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the takeover socket remains: %v", err)
	}
}

// The predecessor has stopped reading for a successor, waits for its blocked output, and is killed:
// the successor takes over, and counts unwritten records as lost in the crash.
func TestPredecessorDiesDuringHandover(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "1")
	p := startServe(t, asNobody, append(args, "--output", "file:"+unreadPipe(t))...)
	s := newSenders(t, address, 4)
	s.send(5000, 0)
	eventually(t, "the output is blocked", func() bool {
		now := p.total()
		return now.InFlight > 0 && (now.Received == 5000 || now.QueueBytes > 0) // on a busy machine, buffers have fewer records
	})
	next := p.launchSuccessor(append(args, "--output", "file:"+file)...)
	next.waitForLog("takeover started")
	s.send(7000, 0) // queued in the kernel, or read before the predecessor stops reading
	p.kill()
	next.waitForLog(`"reason":"died"`)
	eventually(t, "all datagrams are accounted for", func() bool {
		now := next.total()
		return now.Received == 7000 && now.InFlight == 0 && now.Delivered+now.Dropped.LostInCrash == 7000
	})
	next.wantStop()
}
