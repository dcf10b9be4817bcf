package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// unreadPipe makes a named pipe that nobody reads.
func unreadPipe(t *testing.T) string {
	t.Helper()
	pipe := filepath.Join(publicDir(t), "queries")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(pipe, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return pipe
}

// stuckOutput is a process whose output, a pipe, takes nothing more, since nobody reads it.
func startWithBlockedOutput(t *testing.T, drainTimeout string) (p *process, pipe string, s *senders, args []string) {
	t.Helper()
	address := freePort(t)
	pipe = unreadPipe(t)
	args = takeoverArgs(publicDir(t), address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--drain-timeout", drainTimeout, "--output", "file:"+pipe)
	p, s = startServe(t, asNobody, args...), newSenders(t, address, 16)
	before := uint64(0)
	eventually(t, "its output takes nothing more", func() bool {
		s.send(s.sent+5000, 0)
		now := p.total()
		stuck := now.QueueBytes > 0 && now.Received == before
		before = now.Received
		return stuck
	})
	return p, pipe, s, args
}

// readsOn reads the pipe, and waits until the process has delivered all that was sent.
func (p *process) unblockAndDrain(t *testing.T, pipe string, s *senders) {
	t.Helper()
	cat := exec.Command("cat", pipe)
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cat.Process.Kill()
		cat.Wait()
	}()
	eventually(t, "all are accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0 && r.Dropped.Output == 0
	})
	p.wantStop()
}

// An upgrade of a process whose output takes nothing is refused after a while, in words that
// name the shard that waits for it, and the process reads on when the output takes records.
func TestBlockedOutputRefusesUpgrade(t *testing.T) {
	p, pipe, s, args := startWithBlockedOutput(t, "300ms")
	next := p.launchSuccessor(args...)
	if code := next.wait(); code != cli.ExitFailed || !next.hasLogged("can't stop reading: listener raw shard") || !next.hasLogged("still waits for its output after 5s") {
		t.Errorf("exit code %d", code)
	}
	p.waitForLog("handover failed", `"reading_on":true`)
	p.unblockAndDrain(t, pipe, s)
}

// A successor does not wait for ever for a process that has neither stopped reading nor
// refused, as one that is stopped; and that one reads on when the successor has gone.
func TestSuccessorGivesUpOnSilentPredecessor(t *testing.T) {
	p, pipe, s, args := startWithBlockedOutput(t, "1h") // for so long it waits for its output
	next := p.launchSuccessor(append(args, "--drain-timeout", "300ms")...)
	next.wantExit(cli.ExitFailed)
	next.waitForLog("the active process has neither stopped reading nor refused in 10s",
		"udpshard: hint: the active process is stopped or hangs")
	p.waitForLog("handover failed", `"reading_on":true`)
	p.unblockAndDrain(t, pipe, s)
}

// A process that hands over while its output takes nothing hears signals all the
// same, and gives up what the output has not taken.
func TestStopDuringBlockedHandover(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--drain-timeout", "300ms", "--standby-after", "10s", "--output", "file:"+pipe)
	p := startServe(t, asNobody, args...)
	s := newSenders(t, address, 16)
	before := uint64(0)
	eventually(t, "its output takes nothing more", func() bool {
		s.send(s.sent+5000, 0)
		now := p.total()
		stuck := now.QueueBytes > 0 && now.Received == before
		before = now.Received
		return stuck
	})
	next := p.launchSuccessor(args...)
	next.waitForLog("takeover started")
	if code := p.terminate(); code != 0 && code != cli.ExitFailed {
		t.Errorf("exit code %d", code)
	}
	received, delivered, kernel, lost := p.finalLedger()
	if delivered+lost != received || lost == 0 || received+kernel > uint64(s.sent) {
		t.Errorf("%d received, %d delivered, %d lost, %d dropped by the kernel, of %d", received, delivered, lost, kernel, s.sent)
	}
}

// A shard that waits for an output that takes nothing is let go at the end of --drain-timeout.
func TestDrainTimeoutWithBlockedOutput(t *testing.T) {
	address := freePort(t)
	p := startServe(t, asNobody, "--listen", address, "--protocol", "raw", "--shards", "1",
		"--output", "file:"+unreadPipe(t), "--drain-timeout", "300ms")
	s := newSenders(t, address, 8)
	s.send(40_000, 100_000)
	eventually(t, "the shard waits for its output", func() bool { return p.total().QueueBytes > 0 })
	ended := make(chan int, 1)
	go func() { ended <- p.terminate() }()
	select {
	case code := <-ended:
		if code != cli.ExitFailed || !p.hasLogged("could not write everything in time") {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		t.Fatal("it does not end")
	}
	received, delivered, _, lost := p.finalLedger()
	if received == 0 || delivered+lost != received {
		t.Errorf("%d received, %d delivered, %d lost", received, delivered, lost)
	}
}

// A handover waits for records that are on their way to an output, for longer than it would keep
// those who ask from their answers.
func TestHandoverWaitsForRecords(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "raw", "--shards", "1", "--output", "file:"+pipe)
	p := startServe(t, asNobody, args...)
	s := newSenders(t, address, 1)
	const sent = 1000 // more than a pipe holds, and less than the shard's buffers do
	s.send(sent, 20_000)
	p.waitForReceived(sent)
	if p.total().InFlight == 0 {
		t.Fatal("the pipe holds them all")
	}
	next := p.launchSuccessor(args...)
	p.waitForLog("successor connected")
	time.Sleep(1500 * time.Millisecond) // three times what it waits where only records of queries are under way
	if p.hasLogged("handover failed") || next.hasLogged("error") {
		t.Fatal("the handover is given up")
	}
	file, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	go io.Copy(io.Discard, file)
	next.waitForTakeover()
	p.wantExit(cli.ExitDone)
	if r := next.total(); r.Received != sent || r.Delivered != sent {
		t.Errorf("%d received, %d delivered of %d", r.Received, r.Delivered, sent)
	}
}
