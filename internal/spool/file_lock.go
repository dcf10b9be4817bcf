package spool

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The lock of a file is an open file description lock of its first byte (fcntl_locking(2), Linux
// 3.15). Such a lock ends with the last descriptor of the open file, as that of flock(2). Unlike a
// lock of flock(2), F_OFD_GETLK finds it without a lock of its own: a process that looks at a spool
// keeps no other from a lock, not even for a moment.

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
