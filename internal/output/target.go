package output

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// target is an opened destination.
type target interface {
	write(data []byte) (int, error)
	// look says where the next write begins, and whether what is written goes
	// where nobody will find it.
	look() (at place, gone bool)
	// reopen opens the destination by its name again, where it has one,
	// after cutting the last torn bytes from what was open. It returns torn
	// if it did: they have to be written again. On an error the old one
	// stays.
	reopen(torn int) (back int, err error)
	// close cuts the last torn bytes, which nothing will complete any more.
	close(torn int) error
}

// place is the end of a regular file; the zero place is anywhere else.
type place struct {
	device, inode uint64
	size          int64
}

func open(name string) (target, error) {
	if name == "stdout" {
		return stdout{}, nil
	}
	f := &file{path: name}
	_, err := f.reopen(0)
	return f, err
}

// stdout is the process's standard output, which is never closed or opened.
type stdout struct{}

// write waits for a while where others have made standard output non-blocking: that
// is a flag of the open file, which processes share (fcntl(2)), and no failure.
func (stdout) write(data []byte) (int, error) {
	n, err := os.Stdout.Write(data)
	if errors.Is(err, unix.EAGAIN) {
		const heed = 100 // ms, and whoever gives up is heard
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(os.Stdout.Fd()), Events: unix.POLLOUT}}, heed)
		if errors.Is(err, unix.EINTR) {
			err = nil
		}
	}
	return n, bare(err)
}
func (stdout) look() (place, bool)     { return place{}, false }
func (stdout) reopen(int) (int, error) { return 0, nil }
func (stdout) close(int) error         { return nil }

// file is a file that is appended to.
type file struct {
	path string
	f    *os.File
	size int64 // when a write last failed
}

// mode of new files: messages are not for everybody (as Debian's rsyslog).
const mode = 0o640

func (t *file) write(data []byte) (int, error) {
	n, err := t.f.Write(data)
	if err != nil {
		if info, statErr := t.f.Stat(); statErr == nil {
			t.size = info.Size()
		}
	}
	return n, bare(err)
}

// bare drops the path from an error: whoever reports it says it.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// look asks once a buffer, at less than 1 µs. A file is gone when its last
// name was removed; one that was renamed is not: whoever renames it sends
// SIGHUP. Since nobody else appends to it, its size is where the next write
// begins.
func (t *file) look() (place, bool) {
	info, err := t.f.Stat()
	if err != nil {
		return place{}, false
	}
	return placeOf(info)
}

func placeOf(info fs.FileInfo) (at place, gone bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return place{}, false
	}
	if info.Mode().IsRegular() {
		at = place{device: stat.Dev, inode: stat.Ino, size: stat.Size}
	}
	return at, stat.Nlink == 0
}

func (t *file) reopen(torn int) (int, error) {
	flags := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if info, err := os.Stat(t.path); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
		// Open for both a FIFO needs no reader yet and outlives the one it
		// has: records wait in it, and then for it (fifo(7)).
		flags = os.O_RDWR | syscall.O_NONBLOCK
	}
	next, err := os.OpenFile(t.path, flags, mode)
	if err != nil {
		return 0, bare(err)
	}
	if t.f != nil {
		t.cut(torn)
		t.f.Close()
	}
	t.f = next
	return torn, nil
}

// cut takes an unfinished record off the file's end, unless somebody else has
// appended since it was written.
func (t *file) cut(torn int) {
	if info, err := t.f.Stat(); torn > 0 && err == nil && info.Size() == t.size {
		_ = t.f.Truncate(t.size - int64(torn)) // if that fails it stays torn: the record is written whole elsewhere, or counted as lost
	}
}

func (t *file) close(torn int) error {
	t.cut(torn)
	return bare(t.f.Close())
}
