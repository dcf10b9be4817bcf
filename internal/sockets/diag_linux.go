package sockets

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// UnavailableError says that the kernel, or a sandbox around this process, has no socket
// diagnostics.
type UnavailableError struct {
	err    error
	module string // the kernel module with the diagnostics
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("socket diagnostics (sock_diag): %v", e.err)
}

func (e *UnavailableError) Unwrap() error { return e.err }

// Hint returns the remedy.
func (e *UnavailableError) Hint() string {
	if errors.Is(e.err, unix.ENOENT) {
		return "the kernel module is missing: modprobe " + e.module
	}
	return "netlink sockets (NETLINK_SOCK_DIAG) are forbidden here, for example by a seccomp filter: run the command on the host"
}

// diag is a connection to the kernel's socket diagnostics. Only one goroutine may use it.
type diag struct{ *netlink.Conn }

// diagTimeout is how long the kernel may take to answer. The kernel answers within the system call
// of the request: in milliseconds for a hundred thousand sockets.
const diagTimeout = 10 * time.Second

func open() (diag, error) {
	conn, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return diag{}, &UnavailableError{err, "inet_diag"}
	}
	return diag{conn}, nil
}

// dump returns the sockets of a kind and a port, without their processes.
func (d diag) dump(k kind, port uint16) ([]Socket, error) {
	if err := d.SetDeadline(time.Now().Add(diagTimeout)); err != nil {
		return nil, err
	}
	names := make(map[uint32]string)
	var all []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		messages, err := d.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump},
			Data:   request(k, family, port),
		})
		if err != nil {
			return nil, &UnavailableError{err, k.module}
		}
		var dump []Socket
		seen := make(map[uint64]bool)
		for _, message := range messages {
			s, index, err := parse(message.Data)
			if err != nil {
				return nil, fmt.Errorf("socket diagnostics (sock_diag): %w", err)
			}
			if seen[s.Cookie] {
				continue // a socket was bound while the kernel went on to a further message
			}
			seen[s.Cookie] = true
			if index != 0 {
				name, known := names[index]
				if !known {
					name = sys.ZoneName(index)
					names[index] = name
				}
				s.onInterface(name)
			}
			dump = append(dump, s)
		}
		// udp_diag (net/ipv4/udp_diag.c, Linux 6.18) walks the hash chain of the port from its
		// head. bind(2) puts a new socket at the head, and an IPv6 socket with SO_REUSEPORT at the
		// end (sk_add_node_rcu in include/net/sock.h, since Linux 4.6). So the order of binding is
		// the reverse of the dump, and for IPv6 groups the order of the dump.
		if family == unix.AF_INET {
			slices.Reverse(dump)
		}
		all = append(all, dump...)
	}
	return all, nil
}

// onInterface sets the interface, and the zone of a link-local address.
func (s *Socket) onInterface(name string) {
	s.Interface = name
	s.Local = withZone(s.Local, name)
	s.Peer = withZone(s.Peer, name)
}
