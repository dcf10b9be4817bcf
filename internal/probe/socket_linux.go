package probe

import (
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// withSocket calls f with a new socket.
func withSocket(family int, f func(fd int) error) error {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}

// keepsOption probes for a socket option by setting and reading a value.
func keepsOption(family, level, name, value int) func() error {
	return func() error {
		return withSocket(family, func(fd int) error {
			if err := unix.SetsockoptInt(fd, level, name, value); err != nil {
				return err
			}
			got, err := unix.GetsockoptInt(fd, level, name)
			if err == nil && got != value {
				err = fmt.Errorf("%d was set and %d is read", value, got)
			}
			return err
		})
	}
}

func ipv6() error { return withSocket(unix.AF_INET6, func(int) error { return nil }) }

// withGroup calls f with the first of two sockets that share a free port. Both are bound to the
// wildcard, which works even where the loopback interface is down. The first socket gets
// SO_REUSEPORT after bind: with SO_REUSEPORT set before, port 0 may be a port of another group of
// the same user (inet_rcv_saddr_equal in udp_lib_lport_inuse, net/ipv4/udp.c, Linux 6.18), and f
// would change that group.
func withGroup(f func(fd int) error) error {
	return withSocket(unix.AF_INET, func(first int) error {
		if err := unix.Bind(first, &unix.SockaddrInet4{}); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		name, err := unix.Getsockname(first)
		if err != nil {
			return err
		}
		return withSocket(unix.AF_INET, func(second int) error {
			for _, fd := range []int{first, second} {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
					return err
				}
			}
			if err := unix.Bind(second, name); err != nil {
				return fmt.Errorf("bind: %w", err)
			}
			return f(first)
		})
	})
}

func sharePort() error { return withGroup(func(int) error { return nil }) }

// chooseFirst attaches a program that always chooses the first socket of a group.
func chooseFirst(fd int) error {
	return sys.AttachProgram(fd, []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K}})
}

func attachProgram() error { return withGroup(chooseFirst) }

func detachProgram() error {
	return withGroup(func(fd int) error {
		if err := chooseFirst(fd); err != nil {
			return err
		}
		_, err := sys.RemoveProgram(fd)
		return err
	})
}

// receiveBatch expects EAGAIN: nothing is sent to the socket.
func receiveBatch() error {
	return withSocket(unix.AF_INET, func(fd int) error {
		_, err := sys.NewReceiver(1, 1, sys.ReceiverOptions{}).Receive(fd, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		return err
	})
}

// sendBatch sends no messages.
func sendBatch() error {
	return withSocket(unix.AF_INET, func(fd int) error {
		_, err := sys.NewSender(1).Send(fd)
		return err
	})
}

func socketMemory() error {
	return withSocket(unix.AF_INET, func(fd int) error {
		_, err := sys.SocketMemory(fd)
		return err
	})
}

// forceBuffer asks for the size that the socket already has, halved because the kernel doubles
// sizes (socket(7)).
func forceBuffer() error {
	return withSocket(unix.AF_INET, func(fd int) error {
		size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size/2)
	})
}
