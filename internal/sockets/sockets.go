// Package sockets lists the UDP sockets of a port, of all processes, and watches which sockets are
// not read. It also lists listening TCP sockets.
//
// The source is the kernel's socket diagnostics (sock_diag(7)), which any user may ask, for the
// network namespace of the asking process. A Group is the sockets that share an address, and knows
// which datagrams the kernel gives to the group. Package holder finds the processes of sockets.
package sockets

import (
	"fmt"
	"net/netip"

	"github.com/udpshard/udpshard/internal/holder"
)

// Socket is a UDP socket with a port.
type Socket struct {
	// Local is the address that the socket is bound to. For an IPv6 socket the address is IPv6, or
	// IPv4-mapped. A link-local address has a zone.
	Local netip.AddrPort
	// Peer is set for a connected socket, which receives datagrams of Peer alone.
	Peer netip.AddrPort
	// V6Only: an IPv6 socket receives no IPv4. Not known for connected sockets.
	V6Only bool
	// Interface is the interface that the socket is bound to (SO_BINDTODEVICE, or a zone), or
	// empty.
	Interface string
	// Cookie is the kernel's number for the socket, unique until the next boot (SO_COOKIE).
	Cookie uint64
	Inode  uint32 // 0: no descriptor refers to the socket any more
	UID    uint32 // of the process that created the socket
	// QueueBytes are charged for waiting datagrams, with the kernel's overhead. BufferBytes is the
	// limit: SO_RCVBUF as granted, twice the size that was asked (socket(7)).
	QueueBytes, BufferBytes uint32
	// Drops are the datagrams that the kernel dropped at this socket since the socket was created:
	// mostly because the buffer was full, rarely because of a wrong checksum. Wraps.
	Drops uint32
	// Processes are the visible holders of the socket.
	Processes []holder.Process

	// unreleased is the bytes that were read and are still charged. It is below 0 if a datagram
	// arrived between the two numbers that it is the difference of.
	unreleased int64
}

// List returns the UDP sockets of a port, IPv4 first, with their processes. Sockets of one address
// are in the order in which they were bound.
//
// The kernel numbers the members of a SO_REUSEPORT group in that order, until a member is closed:
// then the last member takes the number of the closed member, which is not visible from outside. A
// member that is connected later keeps its number.
//
// Without /proc, List returns the sockets without processes, and an error.
func List(port uint16) ([]Socket, error) { return listKind(udp, port) }

// Listening returns the listening TCP sockets of a port, IPv4 first, with their processes. Without
// /proc, Listening returns the sockets without processes, and an error.
func Listening(port uint16) ([]Socket, error) { return listKind(listening, port) }

func listKind(k kind, port uint16) ([]Socket, error) {
	d, err := open()
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, err := d.dump(k, port)
	if err != nil {
		return nil, err
	}
	err = findProcesses(len(all), func(i int) *Socket { return &all[i] })
	return all, err
}

// findProcesses fills in the processes of n sockets.
func findProcesses(n int, socket func(int) *Socket) error {
	inodes := make([]uint64, n)
	for i := range n {
		inodes[i] = uint64(socket(i).Inode)
	}
	holders, err := holder.Of(inodes)
	if err != nil {
		return fmt.Errorf("processes of sockets: %w", err)
	}
	for i := range n {
		socket(i).Processes = holders[inodes[i]]
	}
	return nil
}
