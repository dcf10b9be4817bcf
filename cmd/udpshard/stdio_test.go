package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

var errNoSpace = errors.New("no space left")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errNoSpace }

// Each command that can't write its output fails.
func TestFullStdoutFailsCommands(t *testing.T) {
	commands := [][]string{{}, {"help"}, {"help", "serve"}, {"version"}, {"completion", "bash"}, {"completion", "zsh"}}
	for _, name := range []string{"serve", "send", "selftest", "sockets", "doctor", "health", "version", "help", "completion"} {
		commands = append(commands, []string{name, "--help"})
	}
	for _, args := range commands {
		var stderr bytes.Buffer
		if code := run(args, failingWriter{}, &stderr); code != cli.ExitFailed || stderr.String() != "udpshard: error: no space left\n" {
			t.Errorf("%q: got exit code %d, standard error %q", args, code, &stderr)
		}
	}
}

// The reader of standard output has gone: the process logs that once, and exits with 1.
func TestBrokenPipeIsLoggedOnce(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	p := startServe(t, func(cmd *exec.Cmd) { cmd.Stdout = writer },
		"--listen", address, "--shards", "2", "--protocol", "raw")
	if err := errors.Join(reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	newSenders(t, address, 8).send(800, 0)
	p.wantExit(cli.ExitFailed)
	if n := strings.Count(p.logs.String(), "broken pipe"); n != 1 {
		t.Errorf("got %d log lines, want 1", n)
	}
}

// Records without a reader are lost: SIGTERM ends the process with exit code 1.
func TestClosedStdoutFailsServe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address := freePort(t)
	p := startServe(t, func(cmd *exec.Cmd) { cmd.Stdout = writer }, "--listen", address)
	writer.Close()
	reader.Close()
	newSenders(t, address, 1).burst(0, 1)
	eventually(t, "the datagram is read", func() bool { // or the process has already failed
		response, err := http.Get("http://" + p.http + "/api/v1/status")
		if err != nil {
			return true
		}
		defer response.Body.Close()
		var status metrics.Status
		return json.NewDecoder(response.Body).Decode(&status) == nil && metrics.Sum(status.Listeners[0].Shards).Received == 1
	})
	p.signal(syscall.SIGTERM)
	p.wantExit(cli.ExitFailed)
	if received, delivered, _, lost := p.finalLedger(); received != 1 || delivered != 0 || lost != 1 {
		t.Errorf("got received %d, delivered %d, lost %d, want 1, 0, 1", received, delivered, lost)
	}
}

// fullPipe returns the writing end of a full pipe without a reader.
func fullPipe(t *testing.T) (writer *os.File) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(ends[0]) })
	writer = os.NewFile(uintptr(ends[1]), "pipe")
	t.Cleanup(func() { writer.Close() })
	if err := unix.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for size := 4096; size > 0; size /= 2 {
		for {
			if _, err := unix.Write(ends[1], make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	return writer
}

// A process fails while its standard error is blocked: the process exits, and its standby takes
// over.
func TestFailedServeExitsWithUnreadStderr(t *testing.T) {
	dir, address := publicDir(t), freePort(t)
	args := takeoverArgs(dir, address, "--protocol", "raw", "--shards", "1")
	reader, records, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	p := startServe(t, func(cmd *exec.Cmd) {
		asNobody(cmd)
		cmd.Stdout, cmd.Stderr = records, fullPipe(t)
	}, append(args, "--output", "stdout")...)
	standby := p.startStandby(append(args, "--output", "discard")...)
	reader.Close()
	newSenders(t, address, 1).send(10, 0) // records without a reader
	began := time.Now()
	standby.waitForTakeover()
	t.Logf("takeover after %s", time.Since(began))
	p.wantExit(cli.ExitFailed)
	newSenders(t, address, 1).send(20, 0)
	eventually(t, "the standby reads", func() bool { return standby.total().Received >= 20 })
	standby.wantStop()
}

// A command fails while its standard error is blocked: the command exits with its exit code.
func TestUsageErrorExitsWithUnreadStderr(t *testing.T) {
	path := builtProgram(t)
	for _, args := range [][]string{{"serve", "--no-such-flag"}, {"no-such-command"}, {"serve", "--listen", "127.0.0.1:0", "--output", "file:/no/such/folder/x"}} {
		cmd := exec.Command(path, args...)
		cmd.Stderr = fullPipe(t)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := time.AfterFunc(30*time.Second, func() { cmd.Process.Signal(syscall.SIGKILL) })
		cmd.Wait()
		if !ended.Stop() || cmd.ProcessState.ExitCode() <= 0 {
			t.Errorf("%v: got %s, want an exit code above 0", args, cmd.ProcessState)
		}
	}
}
