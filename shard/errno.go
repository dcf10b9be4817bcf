package shard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isEmpty: the receive timeout has passed, or a receive without waiting found no datagram. Of a
// send: the send buffer is full.
func isEmpty(err error) bool { return errors.Is(err, unix.EAGAIN) }

// isInterrupted: a signal came, such as the Go runtime's preemption signal. The kernel does not
// restart a receive with a timeout (signal(7)).
func isInterrupted(err error) bool { return errors.Is(err, unix.EINTR) }

// isOutOfMemory: the kernel is short of memory for a while.
func isOutOfMemory(err error) bool {
	return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS)
}

// isNetworkError: the network reported an error for a datagram that was sent before (ICMP;
// udp(7)). The socket works as before.
func isNetworkError(err error) bool {
	for _, errno := range []unix.Errno{
		unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN,
		unix.ENETDOWN, unix.ENOPROTOOPT, unix.EPROTO, unix.EMSGSIZE, unix.EOPNOTSUPP, unix.EACCES,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// isFatal: the socket can't be read any more. An unknown error is fatal: a shard that retries for
// ever would leave its socket unread.
func isFatal(err error) bool {
	return err != nil && !isEmpty(err) && !isInterrupted(err) && !isOutOfMemory(err) && !isNetworkError(err)
}
