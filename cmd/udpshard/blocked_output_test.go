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

// unreadPipe makes a named pipe that no process reads.
func unreadPipe(t *testing.T) string {
	t.Helper()
	pipe := filepath.Join(publicDir(t), "queries")
	if err := syscall.Mkfifo(pipe, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(pipe, 0o666); err != nil { // for every umask
		t.Fatal(err)
	}
	return pipe
}

// startWithBlockedOutput starts a process with an unread pipe as its output, and fills the pipe.
func startWithBlockedOutput(t *testing.T, drainTimeout string) (p *process, pipe string, s *senders, args []string) {
	t.Helper()
	address := freePort(t)
	pipe = unreadPipe(t)
	args = takeoverArgs(publicDir(t), address, "--protocol", "raw", "--shards", "2", "--steer", "hash", "--drain-timeout", drainTimeout, "--output", "file:"+pipe)
	p, s = startServe(t, asNobody, args...), newSenders(t, address, 16)
	before := uint64(0)
	eventually(t, "the output is blocked and datagrams are queued", func() bool {
		s.send(s.sent+5000, 0)
		now := p.total()
		blocked := now.QueueBytes > 0 && now.Received == before
		before = now.Received
		return blocked
	})
	return p, pipe, s, args
}

// unblockAndDrain reads the pipe, waits until all sent datagrams are accounted for, and stops the
// process.
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
	eventually(t, "all datagrams are accounted for", func() bool {
		r := p.total()
		return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0 && r.Dropped.Output == 0
	})
	p.wantStop()
}

// The output of the active process is blocked, and a successor starts: the active process refuses
// the upgrade with the name of the waiting shard, and reads on when the output accepts records.
func TestBlockedOutputRefusesUpgrade(t *testing.T) {
	t.Parallel() // waits more than it works
	p, pipe, s, args := startWithBlockedOutput(t, "300ms")
	next := p.launchSuccessor(args...)
	if code := next.wait(); code != cli.ExitFailed || !next.hasLogged("can't stop reading: listener raw shard") || !next.hasLogged("still waits for its output after 5s") {
		t.Errorf("got exit code %d of the successor, want %d and the refusal in its log", code, cli.ExitFailed)
	}
	p.waitForLog("handover failed", `"reading_on":true`)
	p.unblockAndDrain(t, pipe, s)
}

// The active process neither stops reading nor refuses the upgrade: the successor exits after its
// own timeout, and the active process reads on.
func TestSuccessorGivesUpOnSilentPredecessor(t *testing.T) {
	t.Parallel()                                        // waits more than it works
	p, pipe, s, args := startWithBlockedOutput(t, "1h") // how long the predecessor waits for its output
	next := p.launchSuccessor(append(args, "--drain-timeout", "300ms")...)
	next.wantExit(cli.ExitFailed)
	next.waitForLog("the active process has neither stopped reading nor refused in 10s",
		"udpshard: hint: the active process is stopped or hangs")
	p.waitForLog("handover failed", `"reading_on":true`)
	p.unblockAndDrain(t, pipe, s)
}

// SIGTERM comes during a handover that waits for a blocked output: the active process ends, and
// counts unwritten records as lost.
func TestStopDuringBlockedHandover(t *testing.T) {
	p, _, s, args := startWithBlockedOutput(t, "300ms")
	next := p.launchSuccessor(args...)
	next.waitForLog("takeover started")
	if code := p.terminate(); code != 0 && code != cli.ExitFailed {
		t.Errorf("got exit code %d, want 0 or %d", code, cli.ExitFailed)
	}
	received, delivered, kernel, lost := p.finalLedger()
	if delivered+lost != received || lost == 0 || received+kernel > uint64(s.sent) {
		t.Errorf("got %d received, %d delivered, %d lost, %d dropped by the kernel, of %d sent", received, delivered, lost, kernel, s.sent)
	}
}

// SIGTERM comes while a shard waits for a blocked output: the process ends after --drain-timeout.
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
			t.Errorf("got exit code %d, want %d and the timeout in the log", code, cli.ExitFailed)
		}
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		t.Fatal("the process does not end within 20s")
	}
	received, delivered, _, lost := p.finalLedger()
	if received == 0 || delivered+lost != received {
		t.Errorf("got %d received, %d delivered, %d lost", received, delivered, lost)
	}
}

// Records of protocol raw are in flight to a slow output: the handover waits for these records, for
// longer than for records of queries (0.5 s), and the upgrade succeeds.
func TestHandoverWaitsForRecords(t *testing.T) {
	pipe, address := unreadPipe(t), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "raw", "--shards", "1", "--output", "file:"+pipe)
	p := startServe(t, asNobody, args...)
	s := newSenders(t, address, 1)
	const sent = 1000 // records of more than a pipe holds, and of less than the buffers of a shard hold
	s.send(sent, 20_000)
	p.waitForReceived(sent)
	if p.total().InFlight == 0 {
		t.Fatal("all records fit into the pipe")
	}
	next := p.launchSuccessor(args...)
	p.waitForLog("successor connected")
	time.Sleep(1500 * time.Millisecond) // three times the wait for records of queries
	if p.hasLogged("handover failed") || next.hasLogged("error") {
		t.Fatal("the handover failed instead of waiting")
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
		t.Errorf("got %d received, %d delivered, want %d", r.Received, r.Delivered, sent)
	}
}
