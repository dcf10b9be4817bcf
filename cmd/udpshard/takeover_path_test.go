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

// A lock on the takeover path's folder is what any user can take who may read the folder:
// it keeps no process from starting, and no standby from reading at once.
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
	t.Logf("it reads %s after the kill", time.Since(began))
	if standby.hasLogged("takeover path unavailable") {
		t.Error("it has no takeover path")
	}
	standby.wantStop()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("what is left: %v, %v", left, err)
	}
}

// A standby whose takeover path another process of its user keeps locked reads at once,
// and takes the path when that is free.
func TestStandbyReadsWhileTakeoverPathIsLocked(t *testing.T) {
	for name, end := range map[string]func(*process){
		"of one that dies":  func(p *process) { p.cmd.Process.Kill() },
		"of one that hangs": func(p *process) { p.sigstop() },
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
				t.Error("it has the path, which is locked")
			}
			lock.Close()
			standby.waitForLog("takeover path available")
			next := standby.startStandby(args...)
			standby.wantStop()
			next.waitForTakeover()
			if name == "of one that hangs" {
				p.signal(unix.SIGCONT)
				p.wantExit(cli.ExitReplaced)
			}
			next.wantStop()
		})
	}
}

// A takeover path whose socket others may replace is refused, and the log says what
// others can reach of one that is taken.
func TestTakeoverPathInSharedFolder(t *testing.T) {
	dir := publicDir(t)
	args := []string{"serve", "--listen", freePort(t), "--http", "", "--log-format", "json", "--shards", "1", "--output", "discard", "--takeover", filepath.Join(dir, "takeover.sock")}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	p := launch(t, asNobody, args...)
	if code := p.wait(); code != cli.ExitUsage || !p.hasLogged("udpshard: error: --takeover: other users may write to the folder "+dir) ||
		!p.hasLogged("udpshard: hint: chmod go-w "+dir) {
		t.Errorf("exit code %d", code)
	}
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	p = launch(t, asNobody, args...)
	p.waitForLog("takeover path reachable by other users", "other users may create files in "+dir)
	p.wantStop()
}

// A standby that can't listen at the takeover path serves all the same, with
// all there is, and listens when it can.
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
	eventually(t, "it serves", func() bool {
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
		t.Errorf("%+v", total)
	}
}

// Where the takeover path can't be used, a second standby can't know that nobody has met the first
// one, which has served: it does not serve, and says why, until the path can be used.
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

// A takeover socket that somebody removes is made anew: whoever stands by still does, and others
// can come. A process that was replaced makes nothing anew.
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
		eventually(t, "it is made anew", func() bool {
			return strings.Count(p.logs.String(), "takeover socket recreated") == n
		})
	}
	next := p.upgrade(args...)
	p.wantExit(cli.ExitDone)
	eventually(t, "the standby follows", func() bool {
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
	if next.hasLogged("made anew") {
		t.Error("who was replaced made it anew")
	}
	last := standby.upgrade(args...)
	standby.wantExit(cli.ExitDone)
	if total := last.total(); total.Received != 2100 {
		t.Errorf("%+v", total)
	}
}

func TestSeveralRuntimeDirectories(t *testing.T) {
	first := t.TempDir()
	args := []string{"--listen", freePort(t), "--shards", "1", "--output", "discard"}
	directories := func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Environ(), "RUNTIME_DIRECTORY="+first+":"+t.TempDir())
	}
	before := startServe(t, directories, args...)
	after := startServe(t, nil, append(args, "--takeover", filepath.Join(first, "takeover.sock"))...)
	before.wantExit(cli.ExitDone)
	after.waitForTakeover()
}
