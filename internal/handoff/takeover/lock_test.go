package takeover

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/leak"
)

// lockOf returns the lock file of a path.
func lockOf(path string) string { return path + ".lock" }

// Another user, who locks all files within reach, keeps no process from taking or releasing the
// path.
func TestLocksOfAnotherUser(t *testing.T) {
	leak.Descriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	makeReachable(t, path)
	s, err := Listen(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() // runAsUser may skip
	var held []int
	runAsUser(t, 54321, func() {
		for _, name := range []string{filepath.Dir(path), path, lockOf(path)} {
			fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				continue
			}
			held = append(held, fd)
			if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
				t.Error(err)
			}
		}
	})
	for _, fd := range held {
		defer unix.Close(fd)
	}
	if len(held) != 1 {
		t.Errorf("the other user opens %d files, want only the folder", len(held))
	}
	began := time.Now()
	next, err := SeizeNow(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), next.Close()); err != nil {
		t.Error(err)
	}
	if next, err = Listen(path, ""); err != nil {
		t.Fatal(err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > lockTimeout/2 {
		t.Errorf("it took %s", took)
	}
}

// One process of a user holds the lock of a path at a time, also if the lock file is removed
// meanwhile. ListenNow does not wait for the lock.
func TestPathLock(t *testing.T) {
	leak.Descriptors(t)
	path := filepath.Join(t.TempDir(), "s")
	p, err := openSocketPath(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.lock(0); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := ListenNow(path, ""); !errors.Is(err, ErrPathLocked) || hintOf(err) == "" {
		t.Errorf("the lock is held: %v", err)
	}
	if took := time.Since(began); took > lockTimeout/2 {
		t.Errorf("ListenNow waited for %s", took)
	}
	if info, err := os.Stat(lockOf(path)); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	got := make(chan error, 1)
	go func() {
		s, err := Listen(path, "")
		if err == nil {
			err = s.Close()
		}
		got <- err
	}()
	if err := p.removeSocket(identity{}); err != nil { // as Server.Close does under the lock
		t.Error(err)
	}
	p.close()
	if err := result(t, got); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) > 0 {
		t.Errorf("what is left: %v, %v", entries, err)
	}
}

// A lock file that other users could hold is refused and stays as it is.
func TestUnsafeLockFileIsRefused(t *testing.T) {
	leak.Descriptors(t)
	for _, v := range []struct {
		name string
		make func(lock string) error
		want string
	}{
		{"a link", func(lock string) error { return os.Symlink("elsewhere", lock) }, "too many levels of symbolic links"},
		{"a pipe", func(lock string) error { return unix.Mkfifo(lock, 0o600) }, "is no regular file"},
		{"a folder", func(lock string) error { return os.Mkdir(lock, 0o700) }, "is a directory"},
		{"readable", func(lock string) error {
			return errors.Join(os.WriteFile(lock, nil, 0o600), os.Chmod(lock, 0o644))
		}, "has mode 0644"},
		{"another user's", func(lock string) error {
			return errors.Join(os.WriteFile(lock, nil, 0o600), os.Chown(lock, 54321, 54321))
		}, "is a file of uid 54321"},
	} {
		t.Run(v.name, func(t *testing.T) {
			if os.Geteuid() != 0 && v.name == "another user's" {
				t.Skip("needs root, to make a file of another user")
			}
			path := filepath.Join(t.TempDir(), "s")
			if err := v.make(lockOf(path)); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(lockOf(path))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), v.want) || hintOf(err) == "" {
				t.Errorf("%v, not %q", err, v.want)
			}
			if after, err := os.Lstat(lockOf(path)); err != nil || after.Mode() != before.Mode() || !os.SameFile(before, after) {
				t.Errorf("%v, %v", after, err)
			}
		})
	}
}

// Listen and Dial refuse a folder in which other users may replace the socket. Exposures returns
// the rest of their access.
func TestSharedFolderIsRefused(t *testing.T) {
	leak.Descriptors(t)
	for mode, refused := range map[os.FileMode]bool{
		0o700: false, 0o755: false, 0o775: true, 0o757: true, 0o777: true, 0o777 | os.ModeSticky: false, 0o775 | os.ModeSticky: false,
	} {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.Chmod(filepath.Dir(path), mode); err != nil {
			t.Fatal(err)
		}
		shared := new(SharedFolderError)
		if _, err := Dial(testContext(t), path); errors.As(err, &shared) != refused || !refused && !errors.Is(err, ErrNotListening) {
			t.Errorf("%s: dial: %v", mode, err)
		}
		s, err := Listen(path, "")
		if errors.As(err, &shared) != refused || !refused && err != nil {
			t.Errorf("%s: listen: %v", mode, err)
		}
		if refused {
			if hintOf(err) != "chmod go-w "+filepath.Dir(path)+", or use another path" {
				t.Errorf("%s: %q", mode, hintOf(err))
			}
			continue
		}
		want := 0
		if mode&os.ModeSticky != 0 {
			want = 1
		}
		if found := Exposures(path); len(found) != want {
			t.Errorf("%s: %+v", mode, found)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		if found := Exposures(path); len(found) != want+1 || found[want].Remedy != "chmod 600 "+path {
			t.Errorf("%s, and the socket is 0666: %+v", mode, found)
		}
		if os.Geteuid() == 0 {
			if err := os.Chown(filepath.Dir(path), 54321, 54321); err != nil {
				t.Fatal(err)
			}
			if found := Exposures(path); len(found) != want+2 {
				t.Errorf("%s, of another user: %+v", mode, found)
			}
		}
		os.Chmod(filepath.Dir(path), 0o777) // so that Close succeeds in any case
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
