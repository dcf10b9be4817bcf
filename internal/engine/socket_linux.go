package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// SocketAddress returns the address that a UDP socket is bound to. The error is about a file of
// another kind, or a socket that receives from its peer alone: DetachSurplus connects a surplus
// socket to itself, after which the socket can't return to its group (udp_lib_hash4 and
// udp_lib_rehash detach it, Linux 6.18).
func SocketAddress(socket *os.File) (at netip.AddrPort, err error) {
	err = sys.Control(socket, func(fd int) (err error) {
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err != nil {
			return os.NewSyscallError("getsockopt SO_PROTOCOL", err)
		}
		if protocol != unix.IPPROTO_UDP {
			return fmt.Errorf("a socket of protocol %d, and UDP is %d", protocol, unix.IPPROTO_UDP)
		}
		if _, err := unix.Getpeername(fd); err == nil {
			return errors.New("a process with fewer shards has put the socket out of use: restart the .socket unit, if the socket comes from one")
		}
		at, err = sys.BoundAddress(fd)
		return err
	})
	return at, err
}
