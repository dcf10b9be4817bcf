package main

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// What systemctl stop and docker stop of a paused container do: the process that was replaced
// while it was stopped gets SIGTERM, and wakes up. The new one reads on, and nobody's filter is
// on its sockets.
func TestReplacedProcessGetsSIGTERM(t *testing.T) {
	for range 5 {
		dir, address := publicDir(t), freePort(t)
		args := takeoverArgs(dir, address, "--shards", "2", "--protocol", "discard", "--standby-after", "100ms")
		p := startServe(t, asNobody, args...)
		next := p.startStandby(args...)
		p.sigstop()
		s := newSenders(t, address, 8)
		s.send(80, 10_000)
		next.waitForTakeover()
		for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGCONT} {
			p.signal(sig)
		}
		p.wantExit(cli.ExitReplaced)
		s.send(800, 10_000)
		eventually(t, "the new one reads on", func() bool {
			now := next.total()
			return now.Received+now.Dropped.Kernel >= uint64(s.sent)
		})
		if now := next.total(); now.Dropped.Kernel != 0 || next.hasLogged("detached") {
			t.Errorf("%d were dropped by the kernel", now.Dropped.Kernel)
		}
		next.wantStop()
	}
}

// A process that is killed while it is stopped has delivered what its files
// say, and the rest is lost in the crash.
func TestReplacedProcessIsKilled(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file)
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	p.sigstop()
	next.waitForTakeover()
	p.kill()
	next.waitForLog("replaced process ended")
	r, total := report(), next.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// A process that does not run is replaced, and its replacement dies; then it
// wakes up: what it had read is not lost.
func TestStoppedProcessOutlivesReplacement(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file, "--standby-after", "2s")
	p := startServe(t, asNobody, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	report := p.startLoad(address, "--rate", "20000", "--flows", "16", "--verify", file)
	path := filepath.Join(dir, "takeover.sock")
	before := inode(t, path)
	p.sigstop()
	for deadline := time.Now().Add(30 * time.Second); inode(t, path) == before; {
		if time.Now().After(deadline) {
			t.Fatal("no standby takes the path")
		}
	}
	active, next := queue[0], queue[1] // which it kills before they have met
	if listens(t, path) != active.pid() {
		active, next = next, active
	}
	active.kill()
	next.waitForTakeover()
	next.waitUntilReading()
	p.signal(syscall.SIGCONT)
	p.wantExit(cli.ExitReplaced)
	r, total := report(), next.settledTotal()
	if all := r.Records.Total; all.Doubled > 0 || !active.hasLogged(readBeforeStandbys) && (all.Arrived != total.Delivered || all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent) {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}

// listens returns the PID of the process that listens at a takeover path.
func listens(t *testing.T, path string) int {
	t.Helper()
	conn, err := net.Dial("unixpacket", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var cred *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		cred, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || asked != nil {
		t.Fatal(err, asked)
	}
	return int(cred.Pid)
}

// A process that does not run is replaced, and its replacement is upgraded, which waits for it no
// longer: what it had read counts as lost, and is written all the same when it wakes up.
func TestStoppedProcessOutlivesUpgrade(t *testing.T) {
	dir := publicDir(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(dir, address, "--shards", "2", "--steer", "hash", "--output", "file:"+file, "--standby-after", "2s")
	p := startServe(t, asNobody, args...)
	standby := p.startStandby(args...)
	report := p.startLoad(address, "--rate", "20000", "--flows", "16", "--verify", file)
	p.sigstop()
	standby.waitForTakeover()
	standby.waitUntilReading()
	next := standby.upgrade(args...)
	standby.waitForLog("replaced process no longer watched")
	p.signal(syscall.SIGCONT)
	p.wantExit(cli.ExitReplaced)
	const more = 2 * 64 // a batch a shard
	r, total := report(), next.settledTotal()
	if all := r.Records.Total; all.Doubled > 0 || all.Arrived < total.Delivered || all.Arrived > total.Delivered+total.Dropped.LostInCrash+more {
		t.Errorf("%+v of %d sent; %+v", all, r.Sent, total)
	}
}
