package main

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/spool"
	"github.com/udpshard/udpshard/metrics"
)

// makeSpool makes a spool with more records than a pipe holds, and returns its folder.
func makeSpool(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(publicDir(t), "spool")
	s, err := spool.Open(spool.Settings{Path: folder, MaxSize: 1 << 30}, func(spool.Event) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Listener("syslog")
	if err != nil {
		t.Fatal(err)
	}
	counters := metrics.NewShard(0, 0)
	w := l.Writer(0, counters)
	defer w.Close()
	const records = 100000
	data := []byte(strings.Repeat(`{"message":"a record"}`+"\n", records))
	if _, err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.Begin(counters, len(data), records)
	n, err := w.Write(data)
	w.End(n)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// spool --print ends with SIGPIPE when its reader ends, as other programs of a pipeline do, and
// with exit code 1 when its output is full.
func TestSpoolPrintEndsWithItsReader(t *testing.T) {
	folder := makeSpool(t)
	cmd := exec.Command(builtProgram(t), "spool", "--print", folder)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != `{"message":"a record"}`+"\n" {
		t.Errorf("%q, %v", line, err)
	}
	out.Close()
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) ||
		ended.Sys().(syscall.WaitStatus).Signal() != unix.SIGPIPE {
		t.Errorf("%v, want SIGPIPE", err)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}

	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	cmd = exec.Command(builtProgram(t), "spool", "--print", folder)
	cmd.Stdout, cmd.Stderr = full, &stderr
	if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != cli.ExitFailed {
		t.Errorf("%v, want exit code 1", err)
	}
	text := stderr.String()
	if !strings.Contains(text, "no space left on device") || strings.Count(text, "\n") != 1 {
		t.Errorf("standard error: %s", text)
	}
}

// A spool of another user is an error with a hint.
func TestSpoolOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("runs the program as another user: run the test as root")
	}
	folder := makeSpool(t)
	for _, c := range []struct{ hidden, want string }{
		{"syslog/consumers", "listener syslog: permission denied"},
		{"syslog", "syslog: permission denied"},
		{"spool.json", "spool.json: permission denied"},
		{"", "permission denied"},
	} {
		if err := filepath.Walk(folder, func(path string, _ os.FileInfo, err error) error {
			return errors.Join(err, os.Chmod(path, 0o755))
		}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(folder, c.hidden), 0o700); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.Command(builtProgram(t), "spool", folder)
		asNobody(cmd)
		cmd.Stderr = &stderr
		var ended *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &ended) || ended.ExitCode() != cli.ExitFailed {
			t.Errorf("%s: %v, want exit code 1", c.hidden, err)
		}
		if text := stderr.String(); !strings.HasSuffix(strings.Split(text, "\n")[0], c.want) ||
			!strings.Contains(text, "\nudpshard: hint: run as root, or as the user of the instance") {
			t.Errorf("%s: %s, want %q and a hint", c.hidden, text, c.want)
		}
	}
}
