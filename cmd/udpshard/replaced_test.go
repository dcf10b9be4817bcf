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

// A replaced process, stopped by SIGSTOP, gets SIGTERM and SIGCONT, as by systemctl stop or docker
// stop of a paused container: the replaced process exits, attaches no filter to the sockets, and
// the new active process loses no datagram.
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
		eventually(t, "the new active process reads on", func() bool {
			now := next.total()
			return now.Received+now.Dropped.Kernel >= uint64(s.sent)
		})
		if now := next.total(); now.Dropped.Kernel != 0 || next.hasLogged("detached") {
			t.Errorf("got %d dropped by the kernel, want none, and no detached filter", now.Dropped.Kernel)
		}
		next.wantStop()
	}
}

// A replaced process is killed while it is stopped by SIGSTOP: the standby counts the records in
// the output file as delivered, and the rest as lost in the crash.
func TestReplacedProcessIsKilled(t *testing.T) {
	address, file, args := recordingArgs(t)
	p := startServe(t, asNobody, args...)
	next := p.startStandby(args...)
	report := p.startLoad(address, "--rate", "80000", "--flows", "16", "--verify", file)
	p.sigstop()
	next.waitForTakeover()
	p.kill()
	next.waitForLog("replaced process ended")
	r, total := report(), next.settledTotal()
	if all := r.Records.Total; all.Arrived+total.Dropped.LostInCrash+total.Dropped.Kernel != r.Sent || all.Doubled > 0 || total.Delivered != all.Arrived {
		t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
}

// The active process is stopped by SIGSTOP, a first standby takes over and dies, and a second
// standby takes over. Then the first process wakes up, and no datagram that it had read is lost.
func TestStoppedProcessOutlivesReplacement(t *testing.T) {
	address, file, args := recordingArgs(t, "--standby-after", "2s")
	p := startServe(t, asNobody, args...)
	queue := [2]*process{p.startStandby(args...), p.startStandby(args...)}
	report := p.startLoad(address, "--rate", "20000", "--flows", "16", "--verify", file)
	path := filepath.Join(filepath.Dir(file), "takeover.sock")
	before := inode(t, path)
	p.sigstop()
	for deadline := time.Now().Add(30 * time.Second); inode(t, path) == before; {
		if time.Now().After(deadline) {
			t.Fatal("no standby has taken the takeover path within 30s")
		}
	}
	active, next := queue[0], queue[1] // next is not yet connected to active
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
		t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
}

// listens returns the pid of the process that listens at a takeover path.
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

// The active process is stopped by SIGSTOP and replaced, and the new active process is upgraded.
// The upgrade does not wait for the stopped process: the datagrams that the stopped process had
// read count as lost, and are written when the process wakes up.
func TestStoppedProcessOutlivesUpgrade(t *testing.T) {
	address, file, args := recordingArgs(t, "--standby-after", "2s")
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
	const more = 2 * 64 // a batch for each shard
	r, total := report(), next.settledTotal()
	if all := r.Records.Total; all.Doubled > 0 || all.Arrived < total.Delivered || all.Arrived > total.Delivered+total.Dropped.LostInCrash+more {
		t.Errorf("got records %+v of %d sent, and ledger %+v", all, r.Sent, total)
	}
}
