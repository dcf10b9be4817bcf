package takeover

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/leak"
	"github.com/udpshard/udpshard/internal/sys/systest"
)

// runAsUser runs f on a thread of another user. The thread ends with f.
func runAsUser(t *testing.T, uid int, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so the thread ends
		if err := systest.SetThreadUser(uid); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// makeReachable opens the folders of a path to other users.
func makeReachable(t *testing.T, path string) {
	t.Helper()
	for folder := filepath.Dir(path); folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	leak.Descriptors(t)
	v := start(t, newActive(t, 1))
	makeReachable(t, v.Path())
	var fd int
	var err error
	connect := func() {
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			if err = unix.Connect(fd, &unix.SockaddrUnix{Name: v.Path()}); err != nil {
				unix.Close(fd)
			}
		}
	}
	runAsUser(t, 54321, connect)
	if !errors.Is(err, unix.EACCES) {
		t.Fatalf("connect: %v", err)
	}
	if err := os.Chmod(v.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	runAsUser(t, 54321, connect)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	w, err := newWire(conn.(*net.UnixConn), "1.1", standardLimits)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := w.receive(testContext(t), 0)
	if err != nil || m.Kind != kindRefused || m.Reason != "uid 54321 may not take over" {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestSocketsOfOtherUsersAreRefused(t *testing.T) {
	leak.Descriptors(t)
	path := t.TempDir() + "/s"
	makeReachable(t, path)
	if err := os.Chmod(filepath.Dir(path), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	fd := -1
	runAsUser(t, 54321, func() {
		var err error
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Error(err)
			return
		}
		if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1)); err != nil {
			t.Error(err)
		}
	})
	defer unix.Close(fd)
	if _, err := Dial(testContext(t), path); err == nil || !strings.Contains(err.Error(), "is a socket of uid 54321, and this process has uid 0") {
		t.Error(err)
	}
	if _, err := SeizeNow(path, ""); err == nil || !strings.Contains(err.Error(), "is a socket of uid 54321, and this process has uid 0") {
		t.Error(err)
	}
}

func TestIsTrusted(t *testing.T) {
	own := uint32(os.Geteuid())
	for uid, want := range map[uint32]bool{0: true, own: true, own + 1: false, 1<<32 - 1: false} {
		if isTrusted(unix.Ucred{Uid: uid}) != want {
			t.Errorf("uid %d: not %t", uid, want)
		}
	}
}

func TestDescribeProcess(t *testing.T) {
	for _, v := range []struct {
		seen    int32
		said    int
		pid     int
		foreign bool
		words   string
	}{
		{seen: 7, pid: 7, words: "pid 7"},
		{seen: 7, said: 1, pid: 7, words: "pid 7"}, // in a pid namespace below
		{said: 1, pid: 1, foreign: true, words: "pid 1 of another pid namespace"},
		{foreign: true, words: "a process of uid 65532 in another pid namespace"},
	} {
		cred := unix.Ucred{Pid: v.seen, Uid: 65532}
		if pid, foreign := visiblePID(cred, v.said); pid != v.pid || foreign != v.foreign {
			t.Errorf("%+v: pid %d, foreign %t", v, pid, foreign)
		}
		if words := describeProcess(cred, v.said); words != v.words {
			t.Errorf("%+v: %q", v, words)
		}
	}
}
