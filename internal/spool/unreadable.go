package spool

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// isUnreadable reports whether a file will not be readable later: the disk or the file system is
// damaged (EIO, and EUCLEAN and EBADMSG of file systems with checksums), or the name is no file.
func isUnreadable(err error) bool {
	for _, errno := range []error{unix.EIO, unix.EUCLEAN, unix.EBADMSG, unix.EISDIR, unix.ELOOP, unix.ENXIO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// unreadable returns the reason of Damage for an error of isUnreadable.
func unreadable(err error) string {
	var errno syscall.Errno
	errors.As(err, &errno)
	return "unreadable: " + errno.Error()
}
