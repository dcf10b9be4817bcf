package dnsservice

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// Listen opens a TCP socket at the address of a group. With SO_REUSEPORT the socket of a
// predecessor, which may not be handed over, does not keep this process from listening.
func Listen(address string) (*net.TCPListener, error) {
	network := "tcp"
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().Is4() {
		network = "tcp4"
	} else if err == nil {
		network = "tcp6"
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return sys.ControlRaw(c, func(fd int) error {
			err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
			return os.NewSyscallError("setsockopt SO_REUSEPORT", err)
		})
	}}
	l, err := config.Listen(context.Background(), network, address)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// Inherit returns the listening TCP socket of a predecessor, as a duplicate of file. The result is
// nil without an error if file is nil.
func Inherit(file *os.File) (*net.TCPListener, error) {
	if file == nil {
		return nil, nil
	}
	socket, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	tcp, ok := socket.(*net.TCPListener)
	if !ok {
		socket.Close()
		return nil, unix.EPROTOTYPE
	}
	return tcp, nil
}
