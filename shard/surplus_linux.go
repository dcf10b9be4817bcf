package shard

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/metrics"
)

// ReadSurplus handles what is queued at the surplus sockets, by the handlers of the shards.
func (g handle) ReadSurplus() error {
	for i, fd := range g.surplus {
		if err := g.shards[i%len(g.shards)].readQueue(fd); err != nil {
			return err
		}
	}
	return nil
}

// readQueue handles the queue of a socket, before the shard reads.
func (s *shard) readQueue(fd int) error {
	for {
		s.receiver.Reset()
		s.counters.BeginReceive()
		n, err := s.receiver.Receive(fd, unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			if err := s.processBatch(fd, n, time.Now()); err != nil {
				return err
			}
		case isEmpty(err):
			s.sink.Flush()
			return nil
		case isInterrupted(err):
		default:
			return os.NewSyscallError("recvmmsg", err)
		}
	}
}

// DetachSurplus makes the surplus sockets unreachable for senders.
func (g handle) DetachSurplus() (surplus int, err error) {
	for _, fd := range g.surplus {
		if g.fenced() {
			return 0, fmt.Errorf("%s: %w", g.address, engine.ErrFenced)
		}
		if err := detach(fd); err != nil {
			return 0, err
		}
	}
	return len(g.surplus), nil
}

// CloseSurplus reads the surplus sockets to the end, and closes them.
func (g handle) CloseSurplus(closing func(metrics.Socket) error) error {
	if len(g.surplus) == 0 {
		return nil
	}
	if err := g.ReadSurplus(); err != nil {
		return err
	}
	// From the end: the kernel moves the last member of a group into the place of a closed member.
	for i := len(g.surplus) - 1; i >= 0; i-- {
		if err := closing(descriptor(g.surplus[i])); err != nil {
			return err
		}
		unix.Close(g.surplus[i])
		g.surplus = g.surplus[:i]
	}
	return g.attacher.reattach()
}

// detach connects a socket to itself. On close a socket leaves its group before it leaves the
// kernel's table of sockets. A datagram whose lookup finds the socket in between is queued there
// and lost (udp_lib_unhash, inet_lookup_reuseport, Linux 6.18). A connected socket is found only
// for datagrams of its peer. If no route leads to the socket, since even the loopback interface is
// down, detach does nothing: only a datagram at the very moment of the close is lost.
func detach(fd int) error {
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
