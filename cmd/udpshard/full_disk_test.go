package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
)

// smallDisk mounts a file system of 1 MiB on a folder of publicDir.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := publicDir(t)
	if err := unix.Mount("udpshard-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDiskLosesNoRecord(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("udpshard-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 800<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "records.json")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--receive-buffer", "16KiB", "--output", "file:"+file)
	s := newSenders(t, address, 4)
	s.send(2_000, 50_000)
	eventually(t, "the disk is full and the kernel drops datagrams", func() bool {
		s.send(s.sent+2_000, 50_000)
		return p.hasLogged("no space left on device") && p.total().Dropped.Kernel > 0
	})
	if n := strings.Count(p.logs.String(), "no space left on device"); n != 1 {
		t.Errorf("got %d log lines about a full disk, want 1", n)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	p.waitForLedger(s.sent)
	s.send(s.sent+1_000, 10_000)
	p.wantStop()
	p.waitForLog("output recovered")
	received, _, kernel, lost := p.finalLedger()
	r := newRecordChecker()
	if n := countLines(t, file, r.check); uint64(n) != received || received+kernel != uint64(s.sent) || lost != 0 {
		t.Errorf("got %d records of %d received, %d dropped by the kernel, of %d sent, %d lost", n, received, kernel, s.sent, lost)
	}
	for _, fault := range r.faults {
		t.Error(fault)
	}
}

// The active process is killed with a partial record in its output file. The standby, with fewer
// shards, writes the datagrams of all sockets to the same file: the standby first cuts the partial
// record, and counts the whole records as delivered.
func TestStandbyCutsPartialRecord(t *testing.T) {
	t.Run("raw", func(t *testing.T) { testCutsPartialRecord(t, "raw", "") })
	t.Run("dns", func(t *testing.T) { // the output of dns also has records of queries over TCP
		testCutsPartialRecord(t, "dns", "id\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01")
	})
}

func testCutsPartialRecord(t *testing.T, protocol, begin string) {
	dir := smallDisk(t)
	file, address := filepath.Join(dir, "records.json"), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", protocol, "--steer", "hash", "--standby-after", "10m", "--output", "file:"+file, "--shards")
	p := startServe(t, asNobody, append(args, "3")...)
	next := p.startStandby(append(args, "1")...)
	s := newSenders(t, address, 32)
	s.prefix = []byte(begin)
	eventually(t, "the disk is full", func() bool {
		s.send(s.sent+500, 50_000)
		return p.hasLogged("no space left on device")
	})
	p.sigstop()
	s.send(s.sent+1000, 50_000)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT, "size=256m"); err != nil {
		t.Fatal(err)
	}
	p.kill()
	eventually(t, "all is accounted for", func() bool {
		if !next.hasLogged("listening") {
			return false
		}
		r := next.total()
		return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0
	})
	if next.hasLogged("last write of the predecessor unknown") {
		t.Error("the standby does not know the last write of the predecessor")
	}
	total := next.total()
	n := countLines(t, file, func(line []byte) {
		if !json.Valid(line) {
			t.Errorf("bad record %.200s", line)
		}
	})
	if uint64(n) != total.Delivered || total.Delivered+total.Dropped.LostInCrash+total.Dropped.Output+total.Dropped.Kernel != uint64(s.sent) || total.Dropped.LostInCrash == 0 {
		t.Errorf("got %d records of %d sent: %+v", n, s.sent, total)
	}
	next.wantStop()
}

// A standby with fewer shards has taken over on a full disk, and can't write the datagrams of the
// surplus sockets: SIGTERM ends the process, and unwritten records are counted as lost.
func TestStopAfterTakeoverWithFullDisk(t *testing.T) {
	file, address := filepath.Join(smallDisk(t), "records.json"), freePort(t)
	args := takeoverArgs(publicDir(t), address, "--protocol", "raw", "--steer", "hash", "--standby-after", "10m", "--drain-timeout", "100ms", "--output", "file:"+file, "--shards")
	p := startServe(t, asNobody, append(args, "3")...)
	next := p.startStandby(append(args, "1")...)
	p.sigstop()
	s := newSenders(t, address, 32)
	s.send(20_000, 100_000)
	p.kill()
	next.waitForLog("no space left on device")
	next.signal(syscall.SIGTERM)
	next.wantExit(cli.ExitFailed)
	received, delivered, kernel, lost := next.finalLedger()
	if received+kernel != uint64(s.sent) || delivered+lost != received || lost == 0 {
		t.Errorf("got %d received, %d delivered, %d lost, %d dropped by the kernel, of %d sent", received, delivered, lost, kernel, s.sent)
	}
}
