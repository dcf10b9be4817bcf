package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/udpshard/udpshard/internal/cli"
)

// A standby is stopped while a successor takes over. The successor dies or hangs before the standby
// has connected to it: the standby has the counters of the successor from the predecessor, and
// continues with exact counts.
func TestUnconnectedStandbyTakesOver(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		log    string
	}{
		"successor dies":  {syscall.SIGKILL, `"reason":"died"`},
		"successor hangs": {syscall.SIGSTOP, `"reason":"stalled"`},
	} {
		t.Run(name, func(t *testing.T) {
			address, file, args := recordingArgs(t)
			p := startServe(t, asNobody, args...)
			standby := p.startStandby(args...)
			s := newSenders(t, address, 16)
			s.send(3000, 0)
			standby.sigstop()
			next := p.upgrade(args...)
			p.wantExit(cli.ExitDone)
			s.send(6000, 0)
			next.waitForDelivered(6000)
			if c.signal == syscall.SIGSTOP {
				next.sigstop()
			} else {
				next.signal(c.signal)
				next.wait()
			}
			s.send(7000, 0) // queued in the kernel
			standby.signal(syscall.SIGCONT)
			standby.waitForLog(c.log)
			standby.waitForDelivered(7000)
			if total := standby.total(); total.Received != 7000 || total.Dropped.LostInCrash != 0 || total.Dropped.Kernel != 0 {
				t.Errorf("got %+v, want 7000 received and none lost", total)
			}
			if c.signal == syscall.SIGSTOP {
				next.signal(syscall.SIGCONT)
				next.wantExit(cli.ExitReplaced)
			}
			standby.wantStop()
			if n := countLines(t, file, nil); n != 7000 {
				t.Errorf("got %d records, want 7000", n)
			}
		})
	}
}

// A stopped standby has missed three upgrades, and finds no takeover socket: the standby does not
// take over, since all predecessors have left in order. It serves after the active process has
// died.
func TestStandbyWithoutTakeoverSocketWaits(t *testing.T) {
	dir := publicDir(t)
	address, socket := freePort(t), filepath.Join(dir, "takeover.sock")
	args := []string{"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard"}
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	standby.sigstop()
	for range 3 {
		next := p.upgrade(args...)
		p.wait()
		p = next
	}
	// In a folder that other users may write to, the socket is not created again.
	if err := errors.Join(os.Chmod(dir, 0o777), os.Remove(socket)); err != nil {
		t.Fatal(err)
	}
	p.waitForLog("takeover socket recreation failed",
		"other users may write to the folder")
	standby.signal(syscall.SIGCONT)
	standby.waitForLog("standby not possible yet")
	s := newSenders(t, address, 32)
	s.send(2000, 0)
	p.waitForDelivered(2000)
	if standby.hasTakenOver() {
		t.Error("the standby has taken over from a running process")
	}
	p.kill()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	standby.waitForLog(`"message":"listening"`)
}
