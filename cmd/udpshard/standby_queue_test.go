package main

import (
	"encoding/json"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// Standbys queue up, whatever ends the active one, and each starts as one
// that finds nobody.
func TestStandbysQueueUp(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"), "--output", "file:" + file}
	p := startServe(t, asNobody, append([]string{"--standby"}, args...)...)
	queue := []*process{p}
	for range 4 {
		queue = append(queue, p.startStandby(args...))
	}
	report := startSend(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	eventually(t, "there is load", func() bool { return p.total().Received > 10_000 })
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL} {
		active := 0
		eventually(t, "one is active", func() bool {
			for i, q := range queue {
				if q.cmd.Process.Pid == activePID(p.http) {
					active = i
					return true
				}
			}
			return false
		})
		q := queue[active]
		q.waitUntilReading()
		queue = append(queue[:active:active], queue[active+1:]...)
		for _, r := range queue {
			eventually(t, "the others stand by", func() bool { return r.hasLogged("standby started") })
			r.logs.Reset()
		}
		q.cmd.Process.Signal(sig)
		if sig == syscall.SIGTERM {
			if code := q.wait(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		}
		eventually(t, "another one is active", func() bool {
			took := 0
			for _, r := range queue {
				if r.hasLogged(`"message":"takeover finished`) {
					took++
				}
			}
			if took > 1 {
				t.Fatal("two have taken over")
			}
			return took == 1
		})
		if sig == syscall.SIGSTOP {
			q.cmd.Process.Signal(syscall.SIGCONT)
			if code := q.wait(); code != cli.ExitReplaced {
				t.Errorf("it ended with %d", code)
			}
			eventually(t, "what it had delivered is counted", func() bool {
				return slices.ContainsFunc(queue, func(r *process) bool { return r.hasLogged("replaced process ended") })
			})
		}
	}
	last := queue[0]
	r, total := report(), last.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	if code := last.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// unmet is what a process says that reads before all standbys know of it.
const readBeforeStandbys = "reading begun before every standby answered"

// A standby that dies when it has just taken over is followed by the next one,
// which has met it by the time at which it reads.
func TestSecondStandbyReplacesFirst(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", filepath.Join(dir, "takeover.sock"),
		"--output", "file:" + file, "--standby-after", "10s"}
	p := startServe(t, asNobody, args...)
	report := startSend(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	late := false // a standby: nothing is promised then
	for range 5 {
		queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
		p.waitUntilReading()
		before := p.total()
		p.cmd.Process.Kill()
		p.wait()
		active, next := firstToTakeOver(t, queue)
		for moment := time.Now().Add(rand.N(10 * time.Millisecond)); time.Now().Before(moment); {
		}
		active.cmd.Process.Kill()
		active.wait()
		late = late || active.hasLogged(readBeforeStandbys)
		eventually(t, "the next one has", func() bool { return next.hasLogged(`"message":"takeover finished`) })
		p = next
		if now := p.total(); now.Received < before.Received || now.Delivered < before.Delivered {
			t.Errorf("counters went back from %+v to %+v", before, now)
		}
		p.waitUntilReading()
		if p.hasLogged(readBeforeStandbys) {
			t.Error("it has waited, and there is nobody to wait for")
		}
	}
	r, total := report(), p.settledTotal()
	all, unknown := r.Records.Total, r.Sent-total.Received-total.Dropped.Kernel
	if all.Doubled > 0 || all.Reordered > 0 || total.Dropped.Kernel > 0 && !p.hasLogged("smaller than asked") {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	if !late && (unknown != 0 || all.Arrived != total.Delivered) {
		t.Errorf("%d are in no account: %+v of %d sent; %+v", unknown, all, r.Sent, total)
	}
	t.Logf("%d sent, %d lost; late: %v", r.Sent, total.Dropped.LostInCrash, late)
	countLines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("no record: %.200s", line)
		}
	})
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// Of two standbys one takes over from a process that is stopped, and the other one
// then waits for that one, though the first still says nothing.
func TestStandbyFollowsNewActiveProcess(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock"), "--standby-after"}
	p := startServe(t, asNobody, append(args, "0")...)
	last := p.startStandby(append(args, "0")...)
	next := p.startStandby(append(args, "100ms")...)
	p.sigstop()
	s := newSenders(t, address, 1)
	s.send(100, 10_000)
	eventually(t, "one takes over", func() bool { return next.hasLogged(`"message":"takeover finished`) })
	eventually(t, "the other one waits for it", func() bool { return strings.Count(last.logs.String(), "standby started") > 1 })
	next.cmd.Process.Kill()
	next.wait()
	eventually(t, "it goes on", func() bool { return last.hasLogged(`"message":"takeover finished`) })
	s.send(200, 10_000)
	eventually(t, "all have come", func() bool { return last.total().Received == 200 })
	p.cmd.Process.Kill()
	p.wait()
	if code := last.terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A standby that does not answer is told of, whoever else stands by meanwhile.
func TestSilentStandbyIsLogged(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := startServe(t, asNobody, args...)
	first := p.startStandby(args...)
	second := p.startStandby(args...)
	second.sigstop()
	p.cmd.Process.Kill()
	p.wait()
	first.waitForLog(`"message":"takeover finished`)
	first.startStandby(args...)
	first.waitForLog(readBeforeStandbys)
}

// A standby that has not met the successor, and has its counters from the process before that
// one, is waited for like those that have: when another standby takes over, it says that one is
// missing.
func TestRedirectedStandbyIsAwaited(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", filepath.Join(dir, "takeover.sock")}
	p := startServe(t, asNobody, args...)
	told := p.startStandby(args...)
	told.sigstop()
	successor := p.upgrade(args...)
	p.wait()
	next := successor.startStandby(args...)
	successor.cmd.Process.Kill()
	successor.wait()
	next.waitForLog(`"message":"takeover finished`, readBeforeStandbys)
}
