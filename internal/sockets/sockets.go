// Package sockets lists the UDP sockets of a port as the kernel knows them,
// whoever they belong to, and watches which of them nobody seems to read. Of TCP it lists
// those that listen.
//
// The figures come from the kernel's socket diagnostics (sock_diag(7)), which
// any user may ask, for the network namespace that it is asked in. A Group is
// the sockets that share an address; it knows which datagrams the kernel
// gives to it rather than to another. The processes behind the sockets are
// package holder's to find.
package sockets

import (
	"fmt"
	"net/netip"

	"github.com/udpshard/udpshard/internal/holder"
)

// Socket is a UDP socket that has a port.
type Socket struct {
	// Local is the address it is bound to. That of an IPv6 socket is never
	// an IPv4 one: where it is bound to such, it is IPv4-mapped. A link-local
	// one has its zone.
	Local netip.AddrPort
	// Peer is set if the socket is connected: it then gets datagrams of that
	// sender alone.
	Peer netip.AddrPort
	// V6Only says that an IPv6 socket gets no IPv4. Of connected ones the
	// kernel does not tell.
	V6Only bool
	// Interface is the one that it is bound to (SO_BINDTODEVICE, or a
	// zone), else empty.
	Interface string
	// Cookie is the kernel's own name for the socket, never used twice
	// until it boots again (SO_COOKIE).
	Cookie uint64
	Inode  uint32 // 0 if no descriptor refers to it any more
	UID    uint32 // who made it
	// QueueBytes are charged for datagrams that wait, the kernel's overhead
	// included; BufferBytes may be charged: SO_RCVBUF as granted, twice what
	// was asked (socket(7)).
	QueueBytes, BufferBytes uint32
	// Drops are the datagrams that the kernel dropped at this socket since
	// it was made: its buffer was full, or rarely a checksum was wrong.
	// Wraps.
	Drops uint32
	// Processes hold it, as far as they can be seen.
	Processes []holder.Process

	// unreleased is what was read and is still charged, in bytes; below 0 if
	// a datagram arrived between the kernel's two figures.
	unreleased int64
}

// List returns the UDP sockets of a port, IPv4 first, with their processes. Those
// that share an address stand in the order in which they were bound.
//
// That is how the kernel numbers the members of a SO_REUSEPORT group, as long
// as none is closed: the last member then moves into the hole, which can't be
// seen from outside. A member that has been connected keeps its number.
//
// Where there is no /proc, the sockets come without processes, and an error.
func List(port uint16) ([]Socket, error) { return found(udp, port) }

// Listening returns the listening TCP sockets of a port, IPv4 first, with their processes. Without
// /proc, it returns the sockets without processes, and an error.
func Listening(port uint16) ([]Socket, error) { return found(listening, port) }

func found(k kind, port uint16) ([]Socket, error) {
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
