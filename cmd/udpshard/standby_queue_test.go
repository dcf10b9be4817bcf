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
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file)
	p := startServe(t, asNobody, append([]string{"--standby"}, args...)...)
	queue := []*process{p}
	for range 4 {
		queue = append(queue, p.startStandby(args...))
	}
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL} {
		active := 0
		eventually(t, "one is active", func() bool {
			for i, q := range queue {
				if q.pid() == activePID(p.http) {
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
			r.waitForLog("standby started")
			r.logs.Reset()
		}
		q.signal(sig)
		if sig == syscall.SIGTERM {
			q.wantExit(cli.ExitDone)
		}
		eventually(t, "another one is active", func() bool {
			took := 0
			for _, r := range queue {
				if r.hasTakenOver() {
					took++
				}
			}
			if took > 1 {
				t.Fatal("two have taken over")
			}
			return took == 1
		})
		if sig == syscall.SIGSTOP {
			q.signal(syscall.SIGCONT)
			q.wantExit(cli.ExitReplaced)
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
	last.wantStop()
}

// unmet is what a process says that reads before all standbys know of it.
const readBeforeStandbys = "reading begun before every standby answered"

// A standby that dies when it has just taken over is followed by the next one,
// which has met it by the time at which it reads.
func TestSecondStandbyReplacesFirst(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file, "--standby-after", "10s")
	p := startServe(t, asNobody, args...)
	report := startSend(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	late := false // a standby: nothing is promised then
	for range 5 {
		queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
		p.waitUntilReading()
		before := p.total()
		p.kill()
		active, next := firstToTakeOver(t, queue)
		for moment := time.Now().Add(rand.N(10 * time.Millisecond)); time.Now().Before(moment); {
		}
		active.kill()
		late = late || active.hasLogged(readBeforeStandbys)
		next.waitForTakeover()
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
	p.wantStop()
}

// Of two standbys one takes over from a process that is stopped, and the other one
// then waits for that one, though the first still says nothing.
func TestStandbyFollowsNewActiveProcess(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1", "--standby-after")
	p := startServe(t, asNobody, append(args, "0")...)
	last := p.startStandby(append(args, "0")...)
	next := p.startStandby(append(args, "100ms")...)
	p.sigstop()
	s := newSenders(t, address, 1)
	s.send(100, 10_000)
	next.waitForTakeover()
	eventually(t, "the other one waits for it", func() bool { return strings.Count(last.logs.String(), "standby started") > 1 })
	next.kill()
	last.waitForTakeover()
	s.send(200, 10_000)
	last.waitForReceived(200)
	p.kill()
	last.wantStop()
}

// A standby that does not answer is told of, whoever else stands by meanwhile.
func TestSilentStandbyIsLogged(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1")
	p := startServe(t, asNobody, args...)
	first := p.startStandby(args...)
	second := p.startStandby(args...)
	second.sigstop()
	p.kill()
	first.waitForTakeover()
	first.startStandby(args...)
	first.waitForLog(readBeforeStandbys)
}

// A standby that has not met the successor, and has its counters from the process before that
// one, is waited for like those that have: when another standby takes over, it says that one is
// missing.
func TestRedirectedStandbyIsAwaited(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1")
	p := startServe(t, asNobody, args...)
	told := p.startStandby(args...)
	told.sigstop()
	successor := p.upgrade(args...)
	p.wait()
	next := successor.startStandby(args...)
	successor.kill()
	next.waitForTakeover()
	next.waitForLog(readBeforeStandbys)
}
