package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// measureCPUWait measures how long threads wait for a CPU: how much longer than 1 ms each sleep of
// a thread lasts. The returned function returns the sum until now.
func measureCPUWait(t *testing.T) func() time.Duration {
	var waited atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the thread ends with the goroutine
		for {
			const nap = time.Millisecond
			began, left := time.Now(), unix.NsecToTimespec(int64(nap))
			if err := unix.Nanosleep(&left, nil); err == nil {
				waited.Add(int64(time.Since(began) - nap))
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return func() time.Duration { return time.Duration(waited.Load()) }
}

// The active process is killed under load at ten random moments: each time the standby takes over
// soon, no counter decreases, and lost datagrams are counted exactly.
func TestStandbyReplacesKilledProcess(t *testing.T) {
	const within = 100 * time.Millisecond // until the takeover: from the kill in 8 of 10 cases, from the death always
	address, file, args := recordingArgs(t, "--standby-after", "10s")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	waited := measureCPUWait(t)
	var took []time.Duration
	for range 10 {
		moment := p.total().Received + rand.Uint64N(30_000)
		eventually(t, "the moment of the kill comes", func() bool { return p.total().Received >= moment })
		before := p.counters()
		began, waitedBefore := time.Now(), waited()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		died := make(chan time.Time, 1)
		go func() {
			p.wait()
			died <- time.Now()
		}()
		next.waitForTakeover()
		now, cpuWait := time.Now(), waited()-waitedBefore
		// Threads die on the CPUs that they are pinned to. If other programs use these CPUs, the death
		// takes longer, and no standby can notice the death earlier.
		death := <-died
		t.Logf("takeover %s after the kill, %s after the death; %s of waits for a CPU", now.Sub(began), now.Sub(death), cpuWait)
		took = append(took, now.Sub(began))
		if now.Sub(death)-cpuWait > within {
			t.Errorf("got a takeover %s after the death, want at most %s and %s of waits for a CPU", now.Sub(death), within, cpuWait)
		}
		p = next
		wantCountersGrow(t, before, p.counters())
		next = p.startStandby(args...)
		p.waitUntilReading()
	}
	slices.Sort(took)
	if took[7] > within {
		t.Errorf("got takeovers this long after the kills: %s, want 8 of 10 within %s", took, within)
	}
	r := report()
	total := p.wantAccounted(r, true)
	t.Logf("%d sent, %d lost in ten crashes", r.Sent, total.Dropped.LostInCrash)
	next.wantStop()
	p.wantStop()
}

// The active process is stopped by SIGSTOP: the standby takes over before clients give up, so each
// question is answered. When the replaced process wakes up, it exits without further datagrams.
func TestStandbyReplacesStoppedProcess(t *testing.T) {
	const questions, batch = 200, 64
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--protocol", "echo", "--standby-after", "250ms")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	ask := func(n int) error { // from a new source port
		conn, err := net.Dial("udp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		text := fmt.Sprint("question ", n)
		if _, err := conn.Write([]byte(text)); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		var buf [64]byte
		k, err := conn.Read(buf[:])
		if err == nil && string(buf[:k]) != text {
			err = fmt.Errorf("answer %q", buf[:k])
		}
		return err
	}
	answered := 0
	var before metrics.Reading
	for n := range questions {
		if n == questions/4 {
			before = p.total()
			p.sigstop()
		}
		if n == questions/2 {
			p.signal(syscall.SIGCONT)
		}
		if err := ask(n); err != nil {
			t.Errorf("question %d: %v", n, err)
			continue
		}
		answered++
	}
	p.wantExit(cli.ExitReplaced)
	p.waitForLog("udpshard: error: ", "another process has taken over", "udpshard: hint: ")
	if received, _, _, _ := p.finalLedger(); received > before.Received+2*batch {
		t.Errorf("the replaced process received %d datagrams, %d before it was stopped, want at most two batches more", received, before.Received)
	}
	next.waitForLog(`"reason":"stalled"`)
	eventually(t, "all questions are counted", func() bool {
		now := next.total()
		return now.Received == questions && now.Delivered == questions && now.Replied == questions
	})
	t.Logf("%d of %d answered", answered, questions)
	next.wantStop()
}

// The active process gets SIGTERM while its standby is stopped by SIGSTOP: the active process exits
// without the standby, and the standby serves after SIGCONT.
func TestStoppedStandbyServesOnceResumed(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "2")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	s := newSenders(t, address, 4)
	s.send(100, 10_000)
	next.sigstop()
	p.wantStop()
	p.waitForLog("handover to a standby failed")
	next.signal(syscall.SIGCONT)
	next.waitForLog(`"message":"listening"`)
	s.send(200, 10_000)
	next.waitForReceived(200)
	if lost := next.total().Dropped.LostInCrash; lost > 0 {
		t.Errorf("got %d lost in a crash, want none", lost)
	}
	next.wantStop()
}

// A standby starts while the active process is stopped by SIGSTOP, with empty queues: the standby
// waits until the active process answers.
func TestStandbyWaitsForStoppedProcess(t *testing.T) {
	t.Parallel() // waits more than it works
	if testing.Short() {
		t.Skip("takes 10 s: the timeout of an answer")
	}
	dir := publicDir(t)
	args := takeoverArgs(dir, freePort(t), "--shards", "2", "--output", "discard")
	p := startServe(t, asNobody, args...)
	p.sigstop()
	next := p.launchBeside(asNobody, append(args, "--standby")...)
	next.waitForLog("active process not answering")
	p.signal(syscall.SIGCONT)
	next.waitForLog("standby started")
	p.wantStop()
	next.waitForTakeover()
	next.wantStop()
}
