package spool

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The lock of a file is an open file description lock of its first byte (fcntl_locking(2), Linux
// 3.15). Such a lock ends with the last descriptor of the open file, as a lock of flock(2) does.
// F_OFD_GETLK finds such a lock without taking a lock. So a process that only reads a spool never
// delays the lock of another process.

// tryLock locks a file that is open for writing. The error is EAGAIN if another open file has the
// lock.
func tryLock(f *os.File) error {
	lock := firstByte()
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
}

// isLocked reports whether another open file has the lock.
func isLocked(f *os.File) bool {
	lock := firstByte()
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return err == nil && lock.Type != unix.F_UNLCK
}

func firstByte() unix.Flock_t {
	return unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Len: 1}
}
