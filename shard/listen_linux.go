package shard

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// openSockets opens the group's sockets in the order of the shards: the kernel numbers the members
// of a SO_REUSEPORT group in the order of bind. The returned address has the port that the kernel
// chose for port 0.
func openSockets(c Config, at address) ([]int, address, error) {
	fds := make([]int, 0, c.Shards)
	largest := sync.OnceValue(sys.MaxReceiveBuffer)
	for i := range c.Shards {
		fd, err := openSocket(c, at, i, largest)
		if err == nil {
			fds = append(fds, fd)
			at.AddrPort, err = sys.BoundAddress(fd)
		}
		if err != nil {
			closeAll(fds)
			return nil, at, fmt.Errorf("listen on %s: %w", at, err)
		}
	}
	return fds, at, nil
}

// openSocket opens and binds the socket of a shard. Without Join the first socket is exclusive: the
// socket is bound before it gets SO_REUSEPORT, and bind fails if any other socket has the port.
// There is no moment at which another process could join, and the later members join afterwards
// (reuseport_add_sock allocates the group then; Linux 6.18).
func openSocket(c Config, at address, shard int, largest func() int) (fd int, err error) {
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if at.Addr().Is6() {
		if err = onlyIPv6(at).set(fd); err != nil {
			return -1, err
		}
	}
	if err = setOptions(fd, c, at, shard, largest); err != nil {
		return -1, err
	}
	name, err := sys.Sockaddr(at.AddrPort)
	if err != nil {
		return -1, err
	}
	if shard == 0 && !c.Join {
		switch err = unix.Bind(fd, name); {
		case err == nil:
			return fd, sharePort(fd)
		case errors.Is(err, unix.EADDRINUSE):
			if inUse := newInUseError(at, c.Join); !inUse.isOwnGroup(at) {
				return -1, inUse
			}
		default:
			return -1, bindError(at, err)
		}
	}
	if err = sharePort(fd); err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, name); errors.Is(err, unix.EADDRINUSE) {
		return -1, newInUseError(at, c.Join)
	} else if err != nil {
		return -1, bindError(at, err)
	}
	return fd, nil
}

func sharePort(fd int) error {
	return os.NewSyscallError("setsockopt SO_REUSEPORT", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
