package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
)

// A person's second Ctrl-C may come 25 ms after the first has been heeded.
func TestSecondSignalExitsAtOnce(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this host has no /dev/full: mknod -m 666 /dev/full c 1 7")
	}
	address := freePort(t)
	p := serving(t, nil, "--listen", address, "--protocol", "raw", "--shards", "1", "--output", "file:/dev/full", "--drain-timeout", "10s")
	newSenders(t, address, 1).send(1, 0)
	eventually(t, "its record waits", func() bool { return p.total().InFlight == 1 })
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.wantSaid("draining")
	time.Sleep(25 * time.Millisecond) // signals within 20 ms are one request
	p.cmd.Process.Signal(syscall.SIGINT)
	if code := p.wait(); code != cli.ExitFailed || p.says("final ledger") {
		t.Errorf("exit code %d", code)
	}
}

// A standard output whose reader has gone is told of once, and what is read after that is lost.
func TestBrokenPipeIsLoggedOnce(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	p := serving(t, func(cmd *exec.Cmd) { cmd.Stdout = writer },
		"--listen", address, "--shards", "2", "--protocol", "raw")
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	newSenders(t, address, 8).send(800, 0)
	if code := p.wait(); code != cli.ExitFailed {
		t.Errorf("exit code %d, want %d", code, cli.ExitFailed)
	}
	if n := strings.Count(p.logs.String(), "broken pipe"); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}
