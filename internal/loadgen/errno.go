package loadgen

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// interrupted: a signal came; the call can be made again.
func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

// stopped: the run's end cut a send short that waited for room.
func stopped(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed)
}

// mayBeReported: what the network can have reported for a datagram sent
// earlier (ICMP; udp(7)). The one that gets the error was not tried.
func mayBeReported(err error) bool {
	for _, errno := range []unix.Errno{
		unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN,
		unix.ENOPROTOOPT, unix.EPROTO, unix.EMSGSIZE, unix.EOPNOTSUPP, unix.EACCES,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// neverOfThis: only an earlier datagram can have been refused.
func neverOfThis(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// kind names an error in a Result: ENOBUFS, EMSGSIZE.
func kind(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return "other"
}
