package regular

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	whole, pipe, link := filepath.Join(dir, "whole"), filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(whole, []byte("text"), 0o600), unix.Mkfifo(pipe, 0o600), os.Symlink(pipe, link)); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name string
		most int64
		want string // of the error; empty: none
	}{
		{whole, 4, ""},
		{whole, 3, "more than 3 bytes"},
		{pipe, 4, "not a regular file"},
		{link, 4, "not a regular file"},
		{dir, 4, "is a directory"},
		{"/dev/zero", 4, "not a regular file"},
		{filepath.Join(dir, "missing"), 4, "no such file"},
	} {
		data, err := Read(v.name, v.most, time.Minute)
		switch {
		case v.want == "" && (err != nil || string(data) != "text"):
			t.Errorf("%s: %q, %v", v.name, data, err)
		case v.want != "" && (err == nil || !strings.Contains(err.Error(), v.want) || !strings.Contains(err.Error(), v.name)):
			t.Errorf("%s: %v, not %q", v.name, err, v.want)
		}
	}
}

// A pipe that replaces a file after Stat is refused too: opening a pipe would block until a writer
// opens the pipe.
func TestPipeReplacesFile(t *testing.T) {
	dir := t.TempDir()
	names := [2]string{filepath.Join(dir, "file"), filepath.Join(dir, "pipe")}
	if err := errors.Join(os.WriteFile(names[0], nil, 0o600), unix.Mkfifo(names[1], 0o600)); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, names[0], unix.AT_FDCWD, names[1], unix.RENAME_EXCHANGE)
			}
		}
	}()
	for range 2000 {
		if _, err := Read(names[0], 1, time.Minute); err != nil && !strings.Contains(err.Error(), "not a regular file") {
			t.Fatal(err)
		}
	}
	close(stop)
	<-ended
}

// A file with a lease is opened after the holder has given up the lease.
func TestAFileWithALease(t *testing.T) {
	name := filepath.Join(t.TempDir(), "leased")
	if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	holder, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		holder.Close()
		t.Skipf("needs a file system with leases: set TMPDIR to one: %v", err)
	}
	go func() {
		time.Sleep(3 * leaseRetryInterval) // the read usually begins first; the test passes in any order
		holder.Close()
	}()
	if data, err := Read(name, 4, time.Minute); err != nil || string(data) != "text" {
		t.Errorf("%q, %v", data, err)
	}
}

// Reads that hang are abandoned, and their number is limited.
func TestReadsThatHang(t *testing.T) {
	hang := make(chan struct{})
	read := func() (int, error) { <-hang; return 1, nil }
	for range maxReads {
		if _, err := WithTimeout(time.Millisecond, "read x", read); !errors.Is(err, os.ErrDeadlineExceeded) || !strings.Contains(err.Error(), "read x") {
			t.Fatal(err)
		}
	}
	if _, err := WithTimeout(time.Minute, "read y", read); err == nil || !strings.Contains(err.Error(), "have not ended") {
		t.Errorf("one more hangs: %v", err)
	}
	close(hang)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if n, err := WithTimeout(time.Minute, "read z", read); err == nil && n == 1 {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
