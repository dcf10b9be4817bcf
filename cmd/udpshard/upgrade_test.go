package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// Ten successors in a row, under load: every datagram is one record, in the
// order in which its sender sent it, and no count goes back.
func TestUpgradesLoseNothing(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	// With the kernel's hash: a machine that is busy with other tests is no
	// reason to move flows.
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file)
	p := startServe(t, asNobody, args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	for range 10 {
		before := p.counters()
		next := p.upgrade(args...)
		p.wantExit(cli.ExitDone)
		after := next.status()
		if after.PID != next.pid() || after.Role != metrics.Active {
			t.Errorf("pid %d is %s, want %d", after.PID, after.Role, next.pid())
		}
		wantCountersGrow(t, before, next.counters())
		p = next
		p.waitForLoad(1000)
	}
	r, total := report(), p.settledTotal()
	kernel := total.Dropped.Kernel
	if kernel > 0 && !p.hasLogged("smaller than asked") {
		t.Errorf("%d were dropped by the kernel", kernel)
	}
	if all := r.Records.Total; all.Lost != kernel || all.Doubled > 0 || all.Reordered > 0 || all.Arrived+kernel != r.Sent {
		t.Errorf("%+v of %d sent, %d dropped by the kernel", all, r.Sent, kernel)
	}
	if total.Received+kernel != r.Sent || total.Dropped.LostInCrash > 0 || total.Dropped.Output > 0 {
		t.Errorf("of %d sent: %+v", r.Sent, total)
	}
	p.wantStop()
}

// Growing and shrinking across upgrades loses nothing either.
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
			t.Errorf("%+v on %d shards, before %+v", now, shards, before)
		}
		p = next
		p.waitForLoad(1000)
	}
	r, total := report(), p.settledTotal()
	if all, kernel := r.Records.Total, total.Dropped.Kernel; all.Lost != kernel || all.Doubled > 0 || total.Received+kernel != r.Sent {
		t.Errorf("%+v of %d sent: %+v", all, r.Sent, total)
	}
}

// A successor that can't be one changes nothing for the one that serves; one that
// dies when it has just become the one that serves is followed by a standby, that
// has not met it.
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
			t.Errorf("%v: exit code %d", wrong, code)
		}
	}
	args = append(args, "--standby-after", "10s")
	standby := p.startStandby(args...)
	failures := func() int { return strings.Count(p.logs.String(), "handover failed") }
	eventually(t, "it has told of those that failed", func() bool {
		return strings.Count(p.logs.String(), "successor connected") == failures()
	})
	for range 10 { // killed somewhere on their way
		failed := failures()
		next := p.launchSuccessor(args...)
		next.waitForLog("takeover started")
		moment := time.Now().Add(rand.N(4 * time.Millisecond))
		for time.Now().Before(moment) {
		}
		next.signal(syscall.SIGKILL)
		next.wait()
		left := false
		eventually(t, "the one before has seen that, or has left", func() bool {
			left = p.hasLogged("handover finished")
			return left || failures() > failed
		})
		if left { // too late: it was no successor any more
			p.wantExit(cli.ExitDone)
			p, standby = standby, p.startStandby(args...)
		}
		p.waitUntilReading()
	}
	standby.wantStop()
	r, total := report(), p.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.Kernel+total.Dropped.LostInCrash != r.Sent || all.Doubled > 0 || all.Reordered > 0 || total.Delivered != all.Arrived {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	p.wantStop()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// The one before dies when it has stopped reading for a successor, and can't
// write what it had read: the successor has all it needs to go on.
func TestPredecessorDiesDuringHandover(t *testing.T) {
	dir := publicDir(t)
	pipe, file, address := filepath.Join(dir, "pipe"), filepath.Join(dir, "records.json"), freePort(t)
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(pipe, 0o666)
	args := takeoverArgs(dir, address, "--shards", "1")
	p := startServe(t, asNobody, append(args, "--output", "file:"+pipe)...)
	s := newSenders(t, address, 4)
	s.send(5000, 0)
	eventually(t, "its output takes nothing more", func() bool {
		now := p.total()
		return now.InFlight > 0 && (now.Received == 5000 || now.QueueBytes > 0) // a machine that is busy fills fewer records into a buffer
	})
	next := p.launchSuccessor(append(args, "--output", "file:"+file)...)
	next.waitForLog("takeover started")
	s.send(7000, 0) // these wait in the kernel, or are taken before it stops reading
	p.kill()
	next.waitForLog(`"reason":"died"`)
	eventually(t, "all is accounted for", func() bool {
		now := next.total()
		return now.Received == 7000 && now.InFlight == 0 && now.Delivered+now.Dropped.LostInCrash == 7000
	})
	next.wantStop()
}
