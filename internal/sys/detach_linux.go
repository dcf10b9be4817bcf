package sys

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// DetachSocket makes a bound UDP socket unreachable for senders: it connects the socket to itself.
// On close a socket leaves its SO_REUSEPORT group before it leaves the kernel's table of sockets. A
// datagram whose lookup finds the socket in between is queued there and lost (udp_lib_unhash,
// inet_lookup_reuseport, Linux 6.18). A connected socket is found only for datagrams of its peer.
// If no route leads to the socket, since even the loopback interface is down, DetachSocket does
// nothing: only a datagram at the very moment of the close is lost.
func DetachSocket(fd int) error {
	own, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	for _, name := range ownAddresses(own) {
		if err = unix.Connect(fd, name); err == nil || !isUnreachable(err) {
			break
		}
	}
	if isUnreachable(err) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

// ownAddresses returns the addresses by which a socket may reach itself. A dual-stack socket can be
// open while IPv6 is off (net.ipv6.conf.lo.disable_ipv6).
func ownAddresses(own unix.Sockaddr) []unix.Sockaddr {
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		if own.Addr == [4]byte{} {
			own.Addr = [4]byte{127, 0, 0, 1}
		}
	case *unix.SockaddrInet6:
		if own.Addr == [16]byte{} {
			own.Addr[15] = 1
			return []unix.Sockaddr{own, &unix.SockaddrInet6{Port: own.Port, Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()}}
		}
	}
	return []unix.Sockaddr{own}
}

// isUnreachable: no route to an address, or no source address for the route (ip(7), connect(2)).
func isUnreachable(err error) bool {
	return errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EHOSTUNREACH)
}
