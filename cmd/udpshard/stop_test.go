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

// The one that serves and the one that stands by are told to stop at about the
// same moment: both do, wherever they are with handing over.
func TestActiveAndStandbyStopTogether(t *testing.T) {
	dir := publicDir(t)
	args := takeoverArgs(dir, freePort(t), "--shards", "2", "--output", "discard")
	const apart = 100 * time.Microsecond
	for i := range 40 {
		p := startServe(t, asNobody, args...)
		next := p.startStandby(args...)
		codes := make(chan int, 2)
		go func() { codes <- p.terminate() }()
		time.AfterFunc(time.Duration(i)*apart, func() { codes <- next.terminate() })
		late := time.After(10 * time.Second)
		for range 2 {
			select {
			case code := <-codes:
				if code != 0 {
					t.Errorf("exit code %d", code)
				}
			case <-late:
				t.Fatal("SIGTERM is without effect")
			}
		}
	}
}

// A person's second Ctrl-C may come 25 ms after the first has been heeded.
func TestSecondSignalExitsAtOnce(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this host has no /dev/full: mknod -m 666 /dev/full c 1 7")
	}
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--protocol", "raw", "--shards", "1", "--output", "file:/dev/full", "--drain-timeout", "10s")
	newSenders(t, address, 1).send(1, 0)
	eventually(t, "its record waits", func() bool { return p.total().InFlight == 1 })
	p.signal(syscall.SIGTERM)
	p.waitForLog("draining")
	time.Sleep(25 * time.Millisecond) // signals within 20 ms are one request
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != cli.ExitFailed || p.hasLogged("final ledger") {
		t.Errorf("exit code %d", code)
	}
}

func TestStopUnderLoadWritesAllRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--output", "file:"+file)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Unconnected, so that it does not hear that the port has closed.
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
	eventually(t, "there is load", func() bool { return p.total().Delivered > 10_000 })
	code := p.terminate()
	close(stop)
	<-done
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	received, delivered, _, lost := p.finalLedger()
	if n := countLines(t, file, nil); uint64(n) != received || delivered != received || lost != 0 {
		t.Errorf("%d records of %d received, %d delivered, %d lost", n, received, delivered, lost)
	}
}
