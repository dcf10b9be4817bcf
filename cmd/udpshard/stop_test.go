package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// The active process and its standby get SIGTERM within 4 ms of each other: both exit with 0, at
// each step of the handover.
func TestActiveAndStandbyStopTogether(t *testing.T) {
	dir := publicDir(t)
	args := takeoverArgs(dir, freePort(t), "--shards", "2", "--output", "discard")
	const step = 100 * time.Microsecond
	for i := range 40 {
		p := startServe(t, asNobody, args...)
		next := p.startStandby(args...)
		codes := make(chan int, 2)
		go func() { codes <- p.terminate() }()
		time.AfterFunc(time.Duration(i)*step, func() { codes <- next.terminate() })
		late := time.After(10 * time.Second)
		for range 2 {
			select {
			case code := <-codes:
				if code != 0 {
					t.Errorf("got exit code %d, want 0", code)
				}
			case <-late:
				t.Fatal("a process runs 10s after SIGTERM")
			}
		}
	}
}

// A second signal, 25 ms after the start of the drain, ends the process at once.
func TestSecondSignalExitsAtOnce(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this host has no /dev/full: mknod -m 666 /dev/full c 1 7")
	}
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--protocol", "raw", "--shards", "1", "--output", "file:/dev/full", "--drain-timeout", "10s")
	newSenders(t, address, 1).send(1, 0)
	eventually(t, "a record is in flight", func() bool { return p.total().InFlight == 1 })
	p.signal(syscall.SIGTERM)
	p.waitForLog("draining")
	time.Sleep(25 * time.Millisecond) // signals within 20 ms count as a single request
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != cli.ExitFailed || p.hasLogged("final ledger") {
		t.Errorf("got exit code %d, want %d without a final ledger", code, cli.ExitFailed)
	}
}

// SIGTERM under load: each received datagram is a record, and none is lost.
func TestStopUnderLoadWritesAllRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--output", "file:"+file)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Unconnected: a connected socket would get ECONNREFUSED when the port closes.
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		to, _ := net.ResolveUDPAddr("udp", address)
		for {
			select {
			case <-stop:
				return
			default:
				conn.WriteTo([]byte("<134>1 - host app - - - text"), to)
			}
		}
	}()
	eventually(t, "10,000 records are written", func() bool { return p.total().Delivered > 10_000 })
	code := p.terminate()
	close(stop)
	<-done
	if code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	received, delivered, _, lost := p.finalLedger()
	if n := countLines(t, file, nil); uint64(n) != received || delivered != received || lost != 0 {
		t.Errorf("got %d records of %d received, %d delivered, %d lost", n, received, delivered, lost)
	}
}
