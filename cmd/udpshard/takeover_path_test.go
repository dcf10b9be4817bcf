package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// The folder of the takeover path is locked, as each user with read permission can: processes
// start, and the standby takes over without delay.
func TestLockedTakeoverFolder(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	args := takeoverArgs(dir, address, "--protocol", "discard", "--shards", "1")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	began := time.Now()
	p.cmd.Process.Kill()
	newSenders(t, address, 1).send(100, 0)
	standby.waitForTakeover()
	standby.waitForReceived(100)
	t.Logf("the standby reads %s after the kill", time.Since(began))
	if standby.hasLogged("takeover path unavailable") {
		t.Error("the standby has no takeover path")
	}
	standby.wantStop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("got remaining files %v, %v, want none", left, err)
	}
}

// Another process of the same user holds the lock of the takeover path: the standby takes over and
// reads at once, and listens at the path as soon as the lock is free.
func TestStandbyReadsWhileTakeoverPathIsLocked(t *testing.T) {
	for name, end := range map[string]func(*process){
		"predecessor dies":    func(p *process) { p.cmd.Process.Kill() },
		"predecessor stopped": func(p *process) { p.sigstop() },
	} {
		t.Run(name, func(t *testing.T) {
			dir, address := publicDir(t), freePort(t)
			socket := filepath.Join(dir, "takeover.sock")
			args := []string{"--listen", address, "--protocol", "discard", "--shards", "1", "--takeover", socket}
			p := startServe(t, asNobody, args...)
			standby := p.startStandby(append(args, "--standby-after", "250ms")...)
			lock, err := os.OpenFile(socket+".lock", os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			end(p)
			newSenders(t, address, 1).send(100, 0)
			standby.waitForTakeover()
			standby.waitForLog("takeover path unavailable")
			standby.waitForReceived(100)
			if standby.hasLogged("takeover path available") {
				t.Error("the standby listens at a locked path")
			}
			lock.Close()
			standby.waitForLog("takeover path available")
			next := standby.startStandby(args...)
			standby.wantStop()
			next.waitForTakeover()
			if name == "predecessor stopped" {
				p.signal(unix.SIGCONT)
				p.wantExit(cli.ExitReplaced)
			}
			next.wantStop()
		})
	}
}

// The folder of the takeover path is writable for all users: serve refuses the path without the
// sticky bit, and warns with the sticky bit.
func TestTakeoverPathInSharedFolder(t *testing.T) {
	dir := publicDir(t)
	args := []string{"serve", "--listen", freePort(t), "--http", "", "--log-format", "json", "--shards", "1", "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock")}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := launch(t, asNobody, args...)
	if code := p.wait(); code != cli.ExitUsage || !p.hasLogged("udpshard: error: --takeover: other users may write to the folder "+dir) ||
		!p.hasLogged("udpshard: hint: chmod go-w "+dir) {
		t.Errorf("got exit code %d, want %d and a hint", code, cli.ExitUsage)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	p = launch(t, asNobody, args...)
	p.waitForLog("takeover path reachable by other users", "other users may create files in "+dir)
	p.wantStop()
}

// The folder of the takeover path is removed: the standby takes over with all counters, and listens
// at the path as soon as the folder exists again.
func TestStandbyServesWithoutTakeoverPath(t *testing.T) {
	dir := filepath.Join(publicDir(t), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByNobody(t, dir)
	address := freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "discard")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	p.waitForDelivered(1000)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.kill()
	eventually(t, "the standby has taken over without the path", func() bool {
		return standby.hasTakenOver() && standby.hasLogged("takeover path unavailable")
	})
	s.send(2000, 0)
	standby.waitForDelivered(2000)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByNobody(t, dir)
	standby.waitForLog("takeover path available")
	next := standby.upgrade(args...)
	standby.wantExit(cli.ExitDone)
	if total := next.total(); total.Received != 2000 {
		t.Errorf("got %+v, want 2000 received", total)
	}
}

// The folder of the takeover path is removed, a first standby takes over and dies. The second
// standby can't know whether a third process follows: it logs the reason and does not take over
// until the path is usable.
func TestSecondStandbyWaitsForTakeoverPath(t *testing.T) {
	dir := filepath.Join(publicDir(t), "run")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByNobody(t, dir)
	args := takeoverArgs(dir, freePort(t), "--shards", "2", "--output", "discard")
	p := startServe(t, asNobody, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.kill()
	active, next := firstToTakeOver(t, queue)
	active.kill()
	next.waitForLog("standby not possible yet", filepath.Base(dir)+": no such file or directory")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ownedByNobody(t, dir)
	next.waitForTakeover()
	next.wantStop()
}

// The takeover socket is removed: the active process creates the socket again, standbys stay
// connected, and successors can connect. A replaced process does not create the socket.
func TestRemovedTakeoverSocketIsRecreated(t *testing.T) {
	dir := publicDir(t)
	address, socket := freePort(t), filepath.Join(dir, "takeover.sock")
	args := []string{
		"--listen", address, "--shards", "2", "--steer", "hash", "--takeover", socket, "--output", "discard",
	}
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(append(slices.Clone(args), "--standby-after", "100ms")...)
	s := newSenders(t, address, 16)
	s.send(1000, 0)
	for n := 1; n <= 2; n++ {
		if err := os.Remove(socket); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the takeover socket is created again", func() bool {
			return strings.Count(p.logs.String(), "takeover socket recreated") == n
		})
	}
	next := p.upgrade(args...)
	p.wantExit(cli.ExitDone)
	eventually(t, "the standby has followed to the successor", func() bool {
		return strings.Count(standby.logs.String(), "standby started") == 2
	})
	s.send(2000, 0)
	next.waitForDelivered(2000)

	next.sigstop()
	s.send(2100, 1000)
	standby.waitForTakeover()
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	next.signal(syscall.SIGCONT)
	next.wantExit(cli.ExitReplaced)
	standby.waitForLog("takeover socket recreated")
	if next.hasLogged("takeover socket recreated") {
		t.Error("the replaced process created the takeover socket")
	}
	last := standby.upgrade(args...)
	standby.wantExit(cli.ExitDone)
	if total := last.total(); total.Received != 2100 {
		t.Errorf("got %+v, want 2100 received", total)
	}
}

// RUNTIME_DIRECTORY has several folders, as with several folders in RuntimeDirectory=: the takeover
// path is in the first folder.
func TestSeveralRuntimeDirectories(t *testing.T) {
	first := t.TempDir()
	args := []string{"--listen", freePort(t), "--shards", "1", "--output", "discard"}
	directories := func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Environ(), "RUNTIME_DIRECTORY="+first+":"+t.TempDir())
	}
	predecessor := startServe(t, directories, args...)
	successor := startServe(t, nil, append(args, "--takeover", filepath.Join(first, "takeover.sock"))...)
	predecessor.wantExit(cli.ExitDone)
	successor.waitForTakeover()
}
