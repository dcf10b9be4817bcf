package main

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// Five processes start with --standby: the first becomes active, the rest wait. After each end of
// the active process (SIGTERM, SIGKILL, SIGSTOP), exactly one standby takes over.
func TestStandbysQueueUp(t *testing.T) {
	address, file, args := recordingArgs(t)
	p := startServe(t, asNobody, append([]string{"--standby"}, args...)...)
	queue := []*process{p}
	for range 4 {
		queue = append(queue, p.startStandby(args...))
	}
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL} {
		active := 0
		eventually(t, "a process of the queue is active", func() bool {
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
		eventually(t, "a standby has taken over", func() bool {
			count := 0
			for _, r := range queue {
				if r.hasTakenOver() {
					count++
				}
			}
			if count > 1 {
				t.Fatal("two standbys have taken over")
			}
			return count == 1
		})
		if sig == syscall.SIGSTOP {
			q.signal(syscall.SIGCONT)
			q.wantExit(cli.ExitReplaced)
			eventually(t, "the records of the stopped process are counted", func() bool {
				return slices.ContainsFunc(queue, func(r *process) bool { return r.hasLogged("replaced process ended") })
			})
		}
	}
	last := queue[0]
	r, total := report(), last.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 {
		t.Errorf("got records %+v of %d sent; %+v", all, r.Sent, total)
	}
	last.wantStop()
}

// readBeforeStandbys is the log message of a process that reads before all standbys have answered.
const readBeforeStandbys = "reading begun before every standby answered"

// A standby dies right after its takeover: the second standby, connected before the first read,
// takes over with exact counts.
func TestSecondStandbyReplacesFirst(t *testing.T) {
	address, file, args := recordingArgs(t, "--standby-after", "10s")
	p := startServe(t, asNobody, args...)
	report := startSend(t, address, "--rate", "80000", "--flows", "16", "--verify", file)
	unanswered := false // a takeover without the answer of a standby: counts need not be exact
	for range 5 {
		queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
		p.waitUntilReading()
		before := p.total()
		p.kill()
		active, next := firstToTakeOver(t, queue)
		for moment := time.Now().Add(rand.N(10 * time.Millisecond)); time.Now().Before(moment); {
		}
		active.kill()
		unanswered = unanswered || active.hasLogged(readBeforeStandbys)
		next.waitForTakeover()
		p = next
		if now := p.total(); now.Received < before.Received || now.Delivered < before.Delivered {
			t.Errorf("counters went back from %+v to %+v", before, now)
		}
		p.waitUntilReading()
		if p.hasLogged(readBeforeStandbys) {
			t.Error("the process waited for standbys, and no standby exists")
		}
	}
	r, total := report(), p.settledTotal()
	all, unknown := r.Records.Total, r.Sent-total.Received-total.Dropped.Kernel
	p.wantNoDrops(total.Dropped.Kernel)
	if all.Doubled > 0 || all.Reordered > 0 {
		t.Errorf("got records %+v of %d sent; %+v", all, r.Sent, total)
	}
	if !unanswered && (unknown != 0 || all.Arrived != total.Delivered) {
		t.Errorf("got %d datagrams without a count: %+v of %d sent; %+v", unknown, all, r.Sent, total)
	}
	t.Logf("%d sent, %d lost; without an answer: %v", r.Sent, total.Dropped.LostInCrash, unanswered)
	countLines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("bad record %.200s", line)
		}
	})
	p.wantStop()
}

// A standby takes over from a stopped process: the second standby follows the new active process,
// and takes over from it later.
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
	eventually(t, "the second standby waits for the new active process", func() bool { return strings.Count(last.logs.String(), "standby started") > 1 })
	next.kill()
	last.waitForTakeover()
	s.send(200, 10_000)
	last.waitForReceived(200)
	p.kill()
	last.wantStop()
}

// A stopped standby does not answer the new active process: the new active process logs that, even
// if a further standby connects meanwhile.
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

// A stopped standby was redirected to a successor, and has not connected yet. When a second standby
// takes over from the successor, it waits for the stopped standby, and logs that a standby has not
// answered.
func TestRedirectedStandbyIsAwaited(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1")
	p := startServe(t, asNobody, args...)
	redirected := p.startStandby(args...)
	redirected.sigstop()
	successor := p.upgrade(args...)
	p.wait()
	next := successor.startStandby(args...)
	successor.kill()
	next.waitForTakeover()
	next.waitForLog(readBeforeStandbys)
}
