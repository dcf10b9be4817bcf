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

// haltShard halts the thread of a shard during its wait for datagrams, a system call that the Go
// scheduler knows of. The shard then hangs, as in a handler that does not return; the other threads
// run on. release resumes the thread.
func (p *process) haltShard(t *testing.T, shard int) (release func()) {
	t.Helper()
	thread := p.status().Listeners[0].Shards[shard].Thread
	waits := func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/syscall", p.pid(), thread))
		return err == nil && strings.HasPrefix(string(text), fmt.Sprintf("%d ", unix.SYS_PPOLL))
	}
	eventually(t, "the shard is halted during its wait", func() bool {
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

// haltThread halts a thread of another process by ptrace. release resumes the thread.
func haltThread(thread int) (release func(), err error) {
	halted, resume := make(chan error), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		runtime.LockOSThread() // ptrace(2): all requests must come from the tracing thread
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
			// A thread of an ended process remains until its tracer has waited for the thread.
			waited, waitErr := unix.Wait4(thread, &state, unix.WALL|unix.WNOHANG, nil)
			if waitErr != nil || waited == thread && (state.Exited() || state.Signaled()) {
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(resume)
		done.Wait()
	}), <-halted
}

// twoShardArgs returns flags of `serve` with two shards, a takeover path and an output file in dir.
func twoShardArgs(t *testing.T, address, dir string, more ...string) []string {
	t.Helper()
	return append(takeoverArgs(dir, address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--output", "file:"+filepath.Join(dir, "records")), more...)
}

// fillHaltedShard sends until datagrams are queued at shard 1, which hangs, and shard 0 has
// delivered some.
func (p *process) fillHaltedShard(t *testing.T, s *senders) {
	t.Helper()
	eventually(t, "shard 1 has queued and shard 0 has delivered datagrams", func() bool {
		s.send(s.sent+16, 0)
		r := p.status().Listeners[0].Shards
		return r[1].QueueBytes > 0 && r[0].Delivered > 0
	})
}

// A process with a hanging shard reloads at SIGHUP and ends at SIGTERM, names the shard, and writes
// the records of its other shard.
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
	t.Logf("the process ended %s after SIGTERM", time.Since(began))
	hanging := p.logLines("shard hanging")
	if len(hanging) != 1 || hanging[0]["listener"] != "raw" || hanging[0]["shard"] != 1.0 ||
		hanging[0]["queue_bytes"] == 0.0 {
		t.Errorf("got log lines %v, want shard 1 of raw", hanging)
	}
	if !p.hasLogged("udpshard: error: listener raw shard 1 hangs: no sign of life for ") {
		t.Error("the error does not name the hanging shard")
	}
	received, delivered, _, lost := p.finalLedger()
	written := uint64(countLines(t, filepath.Join(dir, "records"), nil))
	if written != delivered || received != delivered+lost || len(p.logLines("final ledger")) != 2 {
		t.Errorf("got %d written, %d received, %d delivered, %d lost", written, received, delivered, lost)
	}
}

// SIGTERM to a process with a hanging shard and a standby: the handover fails, the process ends
// with an error, and the standby takes over with all queued datagrams.
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
		s.send(s.sent+40, 4000) // datagrams for the standby, queued during the drain
	}
	p.wantExit(cli.ExitFailed)
	standby.waitForTakeover()
	var total metrics.Reading
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%d sent; %+v", s.sent, total)
		}
	})
	eventually(t, "the standby has received all datagrams", func() bool {
		total = standby.total()
		return total.Received == uint64(s.sent)
	})
	standby.wantStop()
}

// The active process refuses an upgrade while a shard hangs, names the shard, and shard 0 reads on.
// At the first attempt the process has not yet noticed the hang, and shard 0 stops reading for a
// while; at the second attempt shard 0 does not stop. After the hang no datagram is missing, and
// the upgrade succeeds.
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
				t.Errorf("attempt %d: %q is missing in the log of the successor:\n%s", i, text, next.logs)
			}
		}
		p.waitForLog(`"message":"handover failed"`, `"message":"shard hanging"`)
		hanging := p.logLines("shard hanging")
		if len(hanging) != 1 || hanging[0]["listener"] != "raw" || hanging[0]["shard"] != 1.0 {
			t.Errorf("attempt %d: got log lines %v, want shard 1 of raw", i, hanging)
		}
		if paused := p.hasLogged(`"reading_on":true`); paused != (i == 0) {
			t.Errorf("attempt %d: got reading_on %t, want the opposite", i, paused)
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

// A standby takes over from a process with a hanging shard: the replaced process exits despite the
// hang.
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
	if hanging := p.logLines("shard hanging"); len(hanging) != 1 || hanging[0]["shard"] != 1.0 {
		t.Errorf("got log lines %v, want shard 1 of raw", hanging)
	}
	standby.waitForLedger(s.sent)
	standby.wantStop()
}
