package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// haltShard keeps the thread of a shard from running, as a handler or a system call does
// that hangs, while it waits for datagrams: a call that Go's scheduler knows of. The other
// threads run on. What it returns lets the thread run again.
func (p *process) haltShard(t *testing.T, shard int) (release func()) {
	t.Helper()
	thread := p.status().Listeners[0].Shards[shard].Thread
	waits := func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", p.pid(), thread))
		return err == nil && strings.HasPrefix(string(text), fmt.Sprintf("%d ", unix.SYS_PPOLL))
	}
	eventually(t, "the shard is halted as it waits", func() bool {
		if !waits() {
			return false
		}
		var err error
		if release, err = haltThread(thread); err != nil {
			t.Skipf("threads can't be halted (ptrace(2)): %v: grant CAP_SYS_PTRACE", err)
		}
		if !waits() {
			release()
			return false
		}
		return true
	})
	t.Cleanup(release)
	return release
}

// halt stops a thread of another process, and returns what lets it run again.
func haltThread(thread int) (release func(), err error) {
	halted, resume := make(chan error), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // ptrace(2): requests come from the thread that traces
		defer runtime.UnlockOSThread()
		err := errors.Join(unix.PtraceSeize(thread), unix.PtraceInterrupt(thread))
		var state unix.WaitStatus
		if err == nil {
			_, err = unix.Wait4(thread, &state, unix.WALL, nil)
		}
		halted <- err
		for err == nil {
			select {
			case <-resume:
				unix.PtraceDetach(thread)
				return
			case <-time.After(5 * time.Millisecond):
			}
			// A thread that has ended with its process is there until its tracer has seen it.
			who, waitErr := unix.Wait4(thread, &state, unix.WALL|unix.WNOHANG, nil)
			if waitErr != nil || who == thread && (state.Exited() || state.Signaled()) {
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(resume)
		done.Wait()
	}), <-halted
}

// hangArgs are those of a process of two shards, with a takeover path.
func twoShardArgs(t *testing.T, address, dir string, more ...string) []string {
	t.Helper()
	return append(takeoverArgs(dir, address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--output", "file:"+filepath.Join(dir, "records")), more...)
}

// fill sends from many ports, until datagrams wait at shard 1, which hangs, and shard 0 has
// delivered its own.
func (p *process) fillHaltedShard(t *testing.T, s *senders) {
	t.Helper()
	eventually(t, "datagrams wait at shard 1 alone", func() bool {
		s.send(s.sent+16, 0)
		r := p.status().Listeners[0].Shards
		return r[1].QueueBytes > 0 && r[0].Delivered > 0
	})
}

// A process with a shard that hangs reloads, and ends at SIGTERM, all the same, and says which
// shard; what the others have read is written.
func TestHangingShardAllowsReloadAndStop(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	p := startServe(t, asNobody, twoShardArgs(t, address, dir, "--drain-timeout", "30s")...)
	p.haltShard(t, 1)
	s := newSenders(t, address, 32)
	p.fillHaltedShard(t, s)
	p.signal(unix.SIGHUP)
	p.waitForLog("reload finished")
	began := time.Now()
	p.signal(unix.SIGTERM)
	p.wantExit(cli.ExitFailed)
	t.Logf("it ended after %s", time.Since(began))
	stalled := p.logLines("shard hanging")
	if len(stalled) != 1 || stalled[0]["listener"] != "raw" || stalled[0]["shard"] != 1.0 ||
		stalled[0]["queue_bytes"] == 0.0 {
		t.Errorf("%v", stalled)
	}
	if !p.hasLogged("udpshard: error: listener raw shard 1 hangs: no sign of life for ") {
		t.Error("the last line does not say so")
	}
	received, delivered, _, lost := p.finalLedger()
	written := uint64(countLines(t, filepath.Join(dir, "records"), nil))
	if written != delivered || received != delivered+lost || len(p.logLines("final ledger")) != 2 {
		t.Errorf("%d written, %d received, %d delivered, %d lost", written, received, delivered, lost)
	}
}

// A process with a shard that hangs, which is told to stop, is replaced by its standby, be it
// that datagrams wait there or not.
func TestHangingShardStopsWithStandby(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := twoShardArgs(t, address, dir, "--standby-after", "1h")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	p.haltShard(t, 1)
	s := newSenders(t, address, 32)
	p.fillHaltedShard(t, s)
	p.signal(unix.SIGTERM)
	p.waitForLog("handover to a standby failed")
	var ended atomic.Bool
	go func() { p.wait(); ended.Store(true) }()
	for late := time.Now().Add(time.Minute); !ended.Load() && time.Now().Before(late); {
		s.send(s.sent+40, 4000) // what comes as it drains waits for the standby
	}
	p.wantExit(cli.ExitFailed)
	standby.waitForTakeover()
	var total metrics.Reading
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d sent; %+v", s.sent, total)
		}
	})
	eventually(t, "all are received", func() bool {
		total = standby.total()
		return total.Received == uint64(s.sent)
	})
	standby.wantStop()
}

// An upgrade of a process with a shard that hangs is refused, in words that name the shard,
// and nobody stops reading for good: not where the shard begins to hang as the others stop,
// and not where it has long hung, when they do not stop. When it no longer hangs, all that
// was sent has come, and the upgrade succeeds.
func TestHangingShardRefusesUpgrade(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := twoShardArgs(t, address, dir)
	p := startServe(t, asNobody, args...)
	release := p.haltShard(t, 1)
	s := newSenders(t, address, 32)
	p.fillHaltedShard(t, s)
	for i := range 2 {
		p.logs.Reset()
		next := p.launchSuccessor(args...)
		next.wantExit(cli.ExitFailed)
		for _, text := range []string{
			"the active process can't stop reading: listener raw shard 1 hangs: no sign of life for ",
			"udpshard: hint: stop the active process (kill -TERM PID)",
		} {
			if !next.hasLogged(text) {
				t.Errorf("attempt %d: the successor does not say %q:\n%s", i, text, next.logs)
			}
		}
		p.waitForLog(`"message":"handover failed"`, `"message":"shard hanging"`)
		stalled := p.logLines("shard hanging")
		if len(stalled) != 1 || stalled[0]["listener"] != "raw" || stalled[0]["shard"] != 1.0 {
			t.Errorf("attempt %d: %v", i, stalled)
		}
		if paused := p.hasLogged(`"reading_on":true`); paused != (i == 0) {
			t.Errorf("attempt %d: shards have stopped reading: %t", i, paused)
		}
		before := p.status().Listeners[0].Shards[0].Delivered
		eventually(t, "shard 0 reads on", func() bool {
			s.send(s.sent+16, 0)
			return p.status().Listeners[0].Shards[0].Delivered > before
		})
	}
	release()
	p.waitForReceived(s.sent)
	next := p.upgrade(args...)
	s.send(s.sent+100, 0)
	next.waitForDelivered(s.sent)
	next.wantStop()
}

// A process whose standby has taken over, since a shard hangs, ends, though that shard does not.
func TestHangingShardExitsAfterTakeover(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := twoShardArgs(t, address, dir, "--standby-after", "250ms")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	p.haltShard(t, 1)
	s := newSenders(t, address, 32)
	eventually(t, "the standby takes over", func() bool {
		s.send(s.sent+16, 0)
		return standby.hasLogged(`"reason":"stalled"`)
	})
	p.wantExit(cli.ExitReplaced)
	if stalled := p.logLines("shard hanging"); len(stalled) != 1 || stalled[0]["shard"] != 1.0 {
		t.Errorf("%v", stalled)
	}
	standby.waitForLedger(s.sent)
	standby.wantStop()
}
