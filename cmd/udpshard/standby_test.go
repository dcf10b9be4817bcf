package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
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

// measureCPUWait begins to measure how long others keep the CPUs from whoever wakes
// up: how much longer than it asked for a thread sleeps that does nothing else.
// The function returns how long that was until now.
func measureCPUWait(t *testing.T) func() time.Duration {
	var waited atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and its end ends the thread
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

// Ten times a process is killed at a random moment, under load, and a standby
// goes on: what is lost is counted, to the datagram.
func TestStandbyReplacesKilledProcess(t *testing.T) {
	const within = 100 * time.Millisecond // until the standby is active: from the kill eight times of ten, from the death always
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file, "--standby-after", "10s")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	waited := measureCPUWait(t)
	var took []time.Duration
	for range 10 {
		moment := p.total().Received + rand.Uint64N(30_000)
		eventually(t, "a moment comes", func() bool { return p.total().Received >= moment })
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
		now, others := time.Now(), waited()-waitedBefore
		// Its threads die on the CPUs that they are pinned to: where others have these, the kernel's
		// part takes long, and nobody can know before.
		death := <-died
		t.Logf("active again %s after the kill, and %s after its death; others had the CPUs for %s", now.Sub(began), now.Sub(death), others)
		took = append(took, now.Sub(began))
		if now.Sub(death)-others > within {
			t.Errorf("active again %s after the death of the one before, of which others had the CPUs for %s", now.Sub(death), others)
		}
		p = next
		wantCountersGrow(t, before, p.counters())
		next = p.startStandby(args...)
		p.waitUntilReading()
	}
	slices.Sort(took)
	if took[7] > within {
		t.Errorf("active again this long after the kills: %s", took)
	}
	r, total := report(), p.settledTotal()
	if kernel := total.Dropped.Kernel; kernel > 0 && !p.hasLogged("smaller than asked") {
		t.Errorf("%d were dropped by the kernel", kernel)
	}
	lost := total.Dropped.LostInCrash + total.Dropped.Kernel
	if all := r.Records.Total; all.Arrived+lost != r.Sent || all.Doubled > 0 || all.Reordered > 0 || total.Delivered != all.Arrived {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
	t.Logf("%d sent, %d lost in ten crashes", r.Sent, total.Dropped.LostInCrash)
	next.wantStop()
	p.wantStop()
}

// A process that is stopped is replaced within the patience of those who ask
// it; when it wakes up it sees that, and leaves.
func TestStandbyReplacesStoppedProcess(t *testing.T) {
	const questions, batch = 200, 64
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--protocol", "echo", "--standby-after", "250ms")
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	ask := func(n int) error { // from a source port of its own
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
		t.Errorf("it has received %d, and had received %d when it was stopped", received, before.Received)
	}
	next.waitForLog(`"reason":"stalled"`)
	eventually(t, "all is accounted for", func() bool {
		now := next.total()
		return now.Received == questions && now.Delivered == questions && now.Replied == questions
	})
	t.Logf("%d of %d answered", answered, questions)
	next.wantStop()
}

// A standby that is stopped when it is asked to take over is not waited for; when
// it wakes up it serves all the same.
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
		t.Errorf("%d were lost in a crash, and there was none", lost)
	}
	next.wantStop()
}

// A standby that comes while the process that serves is stopped, with nothing
// waiting at its sockets, waits for it.
func TestStandbyWaitsForStoppedProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as an answer may take: 10 s")
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
