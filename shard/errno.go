package shard

import (
	"errors"

	"golang.org/x/sys/unix"
)

// empty: the receive time-out passed, or nothing was there and we did not
// want to wait.
func empty(err error) bool { return errors.Is(err, unix.EAGAIN) }

// interrupted: a signal came, as the Go runtime sends to preempt; a receive
// with a time-out is not restarted (signal(7)).
func interrupted(err error) bool { return errors.Is(err, unix.EINTR) }

// scarce: the kernel is short of memory; it passes.
func scarce(err error) bool { return errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) }

// reported: not this call's error but one that the network reported for
// something sent earlier (ICMP; udp(7)). The socket is as good as before.
func reported(err error) bool {
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

// pathless: there is no way to an address, or no address to go there from
// (ip(7), connect(2)).
func pathless(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EHOSTUNREACH)
}

// fatal: the socket can't be read any more. Whatever is not known to pass is
// fatal: a shard that spins on an error would be a socket that nobody reads.
func fatal(err error) bool {
	return err != nil && !empty(err) && !interrupted(err) && !scarce(err) && !reported(err)
}
