package shard

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// handle is a Group with the methods of engine.Handle.
type handle struct{ *Group }

var _ engine.Handle = handle{}

// inherit makes the descriptors of a group from another's sockets: as many as
// there are shards for, and the surplus.
func inherit(c Config, sockets []*os.File, at address) (own, surplus []int, bound address, err error) {
	defer func() {
		if err != nil {
			closeAll(own)
			closeAll(surplus)
		}
	}()
	if len(sockets) == 0 {
		return nil, nil, at, errors.New("there are no inherited sockets")
	}
	for i, f := range sockets {
		var fd int
		err := sys.Control(f, func(inherited int) (err error) {
			fd, err = sys.Duplicate(inherited)
			return err
		})
		if err != nil {
			return own, surplus, at, err
		}
		if i >= c.Shards {
			surplus = append(surplus, fd)
		} else {
			own = append(own, fd)
		}
		found, err := fits(fd, c, at)
		if err != nil {
			return own, surplus, at, fmt.Errorf("socket %d that was handed over: %w", i, err)
		}
		at.AddrPort = found
	}
	return own, surplus, at, nil
}

// fits returns the address of a socket, if it is one that a group of that
// configuration can go on with.
func fits(fd int, c Config, at address) (netip.AddrPort, error) {
	found, err := sys.BoundAddress(fd)
	switch {
	case err != nil:
		return found, err
	case found.Addr() != at.Addr() || at.Port() != 0 && found.Port() != at.Port():
		return found, fmt.Errorf("its address is %s, not %s", found, at)
	}
	if at.Addr().Is6() {
		want := onlyIPv6(at)
		is, err := unix.GetsockoptInt(fd, want.level, want.opt)
		if err != nil {
			return found, os.NewSyscallError("getsockopt "+want.name, err)
		}
		if is != want.want {
			return found, fmt.Errorf("its address is for IPv6 %s, and %s is for IPv6 %s", onlyOrBoth[is], at, onlyOrBoth[want.want])
		}
	}
	trains, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO)
	if err == nil && trains != 0 && !c.GRO { // an error: a kernel that does not tell
		return found, &ConfigError{"GRO", errors.New("the process before has it on, and trains of datagrams may wait at its sockets: keep it on, or stop that process first")}
	}
	return found, nil
}

var onlyOrBoth = map[int]string{0: "and IPv4", 1: "alone"}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Seed returns the seed of the group's flow hash.
func (g handle) Seed() uint32 { return g.steerer.seed }

// Sockets returns duplicates of the group's sockets, in the order of the shards.
func (g handle) Sockets() ([]*os.File, error) {
	var files []*os.File
	for _, s := range g.shards {
		fd, err := sys.Duplicate(s.fd)
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("udp:%s/%d", g.address, s.page.Index)))
	}
	return files, nil
}

// AdoptSockets makes the group the owner of its inherited sockets: see engine.Adopt.
func (g handle) AdoptSockets() (surplus int, err error) {
	if g.options.Inherited == nil {
		return 0, nil
	}
	largest := sync.OnceValue(largestBuffer)
	had := len(g.options.Inherited.Sockets)
	if err := g.adopt(had, largest); err != nil {
		return 0, err
	}
	for i := had; i < len(g.shards); i++ {
		c := g.config
		c.Join = true // those that are there are ours too
		fd, err := openSocket(c, g.address, i, largest)
		if err != nil {
			return 0, fmt.Errorf("listen on %s with %d shards more: %w", g.address, len(g.shards)-i, err)
		}
		g.shards[i].setSocket(fd)
	}
	g.options.Inherited = nil
	if had == len(g.shards) {
		g.steerer.tellInherited()
		return 0, nil
	}
	return len(g.surplus), g.steerer.inherit(len(g.surplus) > 0)
}

// resume makes a group that has yielded read again, since nobody took over. A
// successor that failed on its way may have changed what all share who have the
// sockets.
func (g *Group) resume() error {
	if g.replaced() {
		return fmt.Errorf("%s: %w", g.address, engine.ErrFenced)
	}
	if err := g.adopt(len(g.shards), sync.OnceValue(largestBuffer)); err != nil {
		return err
	}
	return g.steerer.resume()
}

// adopt sets the options of the first sockets, which another process has had,
// as this group wants them. One that the other drained before it ended lets no
// datagram in: see seal.
func (g *Group) adopt(sockets int, largest func() int) (err error) {
	for i, s := range g.shards[:min(len(g.shards), sockets)] {
		if err := setOptions(s.fd, g.config, g.address, i, largest); err != nil {
			return fmt.Errorf("socket %d that was handed over: %w", i, err)
		}
		// A service manager's do not block. The flag is that of all duplicates.
		if err := unix.SetNonblock(s.fd, false); err != nil {
			return os.NewSyscallError("fcntl F_SETFL", err)
		}
		if !g.config.GRO {
			_ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 0) // an old kernel has none to turn off
		}
		if _, err := sys.DetachFilter(s.fd); err != nil {
			return err
		}
	}
	if g.granted, err = grantedBuffer(g.shards[0].fd); err != nil {
		return err
	}
	for _, s := range g.shards {
		s.setGathering()
	}
	return nil
}

// DetachSurplus makes the surplus sockets unreachable for senders.
func (g handle) DetachSurplus() (surplus int, err error) {
	for _, fd := range g.surplus {
		if g.replaced() {
			return 0, fmt.Errorf("%s: %w", g.address, engine.ErrFenced)
		}
		if err := retire(fd); err != nil {
			return 0, err
		}
	}
	return len(g.surplus), nil
}

// CloseSurplus closes the surplus sockets, and reads what has come to them last.
func (g handle) CloseSurplus(closing func(metrics.Socket) error) error {
	if len(g.surplus) == 0 {
		return nil
	}
	if err := g.ReadSurplus(); err != nil {
		return err
	}
	// From the last one on: closing a member moves the last one into its place.
	for i := len(g.surplus) - 1; i >= 0; i-- {
		if err := closing(descriptor(g.surplus[i])); err != nil {
			return err
		}
		unix.Close(g.surplus[i])
		g.surplus = g.surplus[:i]
	}
	return g.steerer.release()
}

// retire takes a socket out of the sight of whoever sends to the address. A
// socket that is being closed leaves its group before it leaves the table of
// sockets, and a datagram whose lookup meets it in between is queued on it and
// lost (udp_lib_unhash, inet_lookup_reuseport, Linux 6.18). One that is
// connected is only found by its peer's datagrams, so this one is connected to
// itself first. Where there is no way to itself, since even loopback is down, it
// is closed all the same: that is a risk for what comes in this very moment.
func retire(fd int) error {
	own, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	for _, name := range loopbacks(own) {
		if err = unix.Connect(fd, name); err == nil || !pathless(err) {
			break
		}
	}
	if pathless(err) {
		return nil
	}
	return os.NewSyscallError("connect", err)
}

// loopbacks are the addresses by which a socket may reach itself. IPv6 can be
// off where sockets for both are open (net.ipv6.conf.lo.disable_ipv6).
func loopbacks(own unix.Sockaddr) []unix.Sockaddr {
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

// ReadSurplus reads what waits at surplus sockets, on behalf of the shards.
func (g handle) ReadSurplus() error {
	for i, fd := range g.surplus {
		if err := g.shards[i%len(g.shards)].drain(fd); err != nil {
			return err
		}
	}
	return nil
}

// drain takes all that waits in another socket. Called before the shard's
// thread has started.
func (s *shard) drain(fd int) error {
	for {
		s.receiver.Reset()
		s.page.BeginReceive()
		n, err := s.receiver.Receive(fd, unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			if err := s.take(fd, n, time.Now()); err != nil {
				return err
			}
		case empty(err):
			s.sink.Flush()
			return nil
		case interrupted(err):
		default:
			return os.NewSyscallError("recvmmsg", err)
		}
	}
}
