package loadgen

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// interrupted: a signal interrupted the call, which can be repeated.
func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

// stopped: the end of the run interrupted a send that waited for buffer space.
func stopped(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed)
}

// maybeEarlier: the network may have reported the error for an earlier datagram (ICMP; udp(7)). The
// datagram of the failed call was not sent then.
func maybeEarlier(err error) bool {
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

// alwaysEarlier: only an earlier datagram can have been refused.
func alwaysEarlier(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// errorName names an error in a Result: ENOBUFS, EMSGSIZE.
func errorName(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	}
	return "other"
}
