package takeover

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/leak"
)

// leaveStaleSocket leaves the file of a socket, as a killed process does.
func leaveStaleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	long := strings.Repeat("d", 100)
	for name, at := range map[string]struct {
		path  string // relative to a folder
		there func(t *testing.T, path string)
		words string // of the error; empty: no error
	}{
		"nothing":             {path: "s"},
		"a stale socket":      {path: "s", there: leaveStaleSocket},
		"a long path":         {path: long + "/" + long + "/s", there: func(t *testing.T, path string) { os.MkdirAll(filepath.Dir(path), 0o700) }},
		"a file":              {"s", func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }, "is no socket"},
		"a folder":            {"s", func(t *testing.T, path string) { os.Mkdir(path, 0o700) }, "is no socket"},
		"a link to a socket":  {"s", func(t *testing.T, path string) { leaveStaleSocket(t, path+"1"); os.Symlink(path+"1", path) }, "is no socket"},
		"a named pipe":        {"s", func(t *testing.T, path string) { unix.Mkfifo(path, 0o600) }, "is no socket"},
		"another kind of it":  {"s", otherProgramSocket, "another program's socket"},
		"no folder":           {"x/s", nil, "no such file"},
		"a file as folder":    {"x/s", func(t *testing.T, path string) { os.WriteFile(filepath.Dir(path), nil, 0o600) }, "not a directory"},
		"too long a name":     {strings.Repeat("s", 108), nil, "a socket's address holds"},
		"no name":             {"s/", nil, "names no file"},
		"another user's":      {"s", otherUserSocket, "is a socket of uid 54321"},
		"another's, too long": {long + "/" + strings.Repeat("s", nameRoom+1), func(t *testing.T, path string) { os.MkdirAll(filepath.Dir(path), 0o700) }, "holds"},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Descriptors(t)
			folder := t.TempDir()
			path := folder + "/" + at.path
			if at.there != nil {
				at.there(t, path)
			}
			s, err := Listen(path, "1.0")
			if never := CheckPath(path); never != nil && err == nil || never == nil && err != nil && strings.Contains(err.Error(), "holds") {
				t.Errorf("Check says %v, Listen %v", never, err)
			}
			if at.words != "" {
				if err == nil || !strings.Contains(err.Error(), at.words) {
					t.Errorf("%v, want %q", err, at.words)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if err != nil || info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if s.Path() != path {
				t.Error(s.Path())
			}
			c := dial(t, path)
			if c.PID() != os.Getpid() {
				t.Error("pid", c.PID())
			}
			c.Close()
			var inUse *InUseError
			if _, err = Listen(path, "1.0"); !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.UID != os.Geteuid() || !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("second: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error("second time:", err)
			}
			names, _ := os.ReadDir(filepath.Dir(path))
			if len(names) != 0 {
				t.Errorf("left behind: %v", names)
			}
			_, err = Dial(testContext(t), path)
			wantError(t, err, ErrNotListening)
			wantError(t, err, os.ErrNotExist)
		})
	}
}

// otherProgramSocket is a live socket of another program.
func otherProgramSocket(t *testing.T, path string) {
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func otherUserSocket(t *testing.T, path string) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a file of another user")
	}
	leaveStaleSocket(t, path)
	if err := os.Chown(path, 54321, -1); err != nil {
		t.Fatal(err)
	}
}

func TestAbstractNamesAreRefused(t *testing.T) {
	for _, path := range []string{"@udpshard", "\x00udpshard", "a\x00b", ""} {
		if _, err := Listen(path, ""); err == nil {
			t.Errorf("Listen(%q) succeeded", path)
		}
		if _, err := Dial(testContext(t), path); err == nil || errors.Is(err, ErrNotListening) {
			t.Errorf("Dial(%q): %v", path, err)
		}
	}
}

func TestDialWithoutListener(t *testing.T) {
	leak.Descriptors(t)
	folder := t.TempDir()
	leaveStaleSocket(t, folder+"/stale")
	os.WriteFile(folder+"/file", nil, 0o600)
	for name, missing := range map[string]bool{"none": true, "none/none": true, "stale": true, "file": false, "file/none": false} {
		if _, err := Dial(testContext(t), folder+"/"+name); err == nil || errors.Is(err, ErrNotListening) != missing {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestModeWithAnyMask(t *testing.T) {
	leak.Descriptors(t)
	for _, mask := range []int{0, 0o077, 0o777} {
		path := t.TempDir() + "/s"
		before := unix.Umask(mask)
		s, err := Listen(path, "")
		unix.Umask(before)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("umask %o: %v, %v", mask, info.Mode(), err)
		}
		s.Close()
	}
}

// bind(2) creates the file with the mode of the socket, so other users never have access.
func TestModeOfBind(t *testing.T) {
	before := unix.Umask(0)
	defer unix.Umask(before)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	path := t.TempDir() + "/s"
	if err := errors.Join(unix.Fchmod(fd, 0o600), unix.Bind(fd, &unix.SockaddrUnix{Name: path})); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// If many processes listen at the same path at once, with or without a stale file, one of them
// gets the path and answers there.
func TestListenByManyProcesses(t *testing.T) {
	leak.Descriptors(t)
	for _, leave := range []bool{true, false} {
		for range 10 {
			path := t.TempDir() + "/s"
			if leave {
				leaveStaleSocket(t, path)
			}
			var all sync.WaitGroup
			servers, errs := make([]*Server, 8), make([]error, 8)
			for i := range servers {
				all.Go(func() { servers[i], errs[i] = Listen(path, "") })
			}
			all.Wait()
			var winner *Server
			for i, s := range servers {
				inUse := &InUseError{}
				switch {
				case s != nil && winner != nil:
					t.Error("two have the path")
				case s != nil:
					winner = s
				case !errors.As(errs[i], &inUse):
					t.Error(errs[i])
				}
			}
			c := dial(t, path)
			a := newActive(t)
			v := serve(t, winner, a)
			o, err := c.Hello(testContext(t), Hello{Role: Standby})
			if err != nil {
				t.Error(err)
			}
			o.Close()
			c.Close()
			v.Close()
		}
	}
}

// Close leaves a file of another process. A concurrent Close and Listen do not disturb each other.
func TestCloseRemovesOnlyItsOwnFile(t *testing.T) {
	leak.Descriptors(t)
	path := t.TempDir() + "/s"
	first, err := Listen(path, "1.0")
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, path) // stays connected
	second, err := SeizeNow(path, "2.0")
	if err != nil {
		t.Fatal(err)
	}
	v := serve(t, first, newActive(t))
	o, err := c.Hello(testContext(t), Hello{Role: Standby})
	if err != nil || o.Version != "1.0" {
		t.Error(o, err)
	}
	o.Close()
	c.Close()
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	dial(t, path).Close()
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	for range 30 {
		old, err := Listen(path, "")
		if err != nil {
			t.Fatal(err)
		}
		var closing sync.WaitGroup
		closing.Go(func() { old.Close() })
		var next *Server
		for inUse := new(InUseError); next == nil; {
			if next, err = Listen(path, ""); err != nil && !errors.As(err, &inUse) {
				t.Fatal(err)
			}
		}
		closing.Wait()
		dial(t, path).Close()
		next.Close()
	}
}

func TestSeizeNowKeepsOtherFiles(t *testing.T) {
	leak.Descriptors(t)
	path := t.TempDir() + "/s"
	os.WriteFile(path, []byte("precious"), 0o600)
	if _, err := SeizeNow(path, ""); err == nil || !strings.Contains(err.Error(), "is no socket") || hintOf(err) == "" {
		t.Error(err)
	}
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Error("the file was replaced")
	}
}

func TestCloseWithoutFolder(t *testing.T) {
	leak.Descriptors(t)
	folder := t.TempDir() + "/run"
	os.Mkdir(folder, 0o700)
	s, err := Listen(folder+"/s", "")
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(folder)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, s.Serve(context.Background(), newActive(t)), net.ErrClosed)
}

// A hanging process keeps the path, also with a full backlog.
func TestFullBacklog(t *testing.T) {
	leak.Descriptors(t)
	s, err := Listen(t.TempDir()+"/s", "1.0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	raw, err := s.listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 0) })
	if err != nil {
		t.Fatal(err)
	}
	dial(t, s.Path())
	inUse := &InUseError{}
	if _, err := Listen(s.Path(), "1.0"); !errors.As(err, &inUse) || inUse.UID != os.Geteuid() || !strings.Contains(err.Error(), "a process of uid") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*backlogPause)
	defer cancel()
	if _, err := Dial(ctx, s.Path()); err == nil || errors.Is(err, ErrNotListening) {
		t.Error(err)
	}
	usual := standardLimits
	standardLimits.step = 3 * backlogPause
	_, err = Dial(testContext(t), s.Path())
	standardLimits = usual
	wantError(t, err, ErrNoAnswer)
	// Dial waits for room in the backlog.
	dialled := make(chan error)
	go func() {
		c, err := Dial(testContext(t), s.Path())
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	v := serve(t, s, newActive(t))
	if err := result(t, dialled); err != nil {
		t.Error(err)
	}
	v.Close()
}
