package shard

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/sys"
)

// handle is a Group with the methods of engine.Handle.
type handle struct{ *Group }

var _ engine.Handle = handle{}

// duplicateInherited duplicates inherited sockets: one for each shard, and the surplus. The address
// is that of the sockets.
func duplicateInherited(c Config, sockets []*os.File, at address) (own, surplus []int, bound address, err error) {
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
		if at.AddrPort, err = checkInherited(fd, c, at); err != nil {
			return own, surplus, at, fmt.Errorf("inherited socket %d: %w", i, err)
		}
	}
	return own, surplus, at, nil
}

// checkInherited returns the address of an inherited socket. The error says why a group with this
// configuration can't continue with the socket.
func checkInherited(fd int, c Config, at address) (netip.AddrPort, error) {
	bound, err := sys.BoundAddress(fd)
	switch {
	case err != nil:
		return bound, err
	case bound.Addr() != at.Addr() || at.Port() != 0 && bound.Port() != at.Port():
		return bound, fmt.Errorf("the address is %s, not %s", bound, at)
	}
	if at.Addr().Is6() {
		v6only := onlyIPv6(at)
		value, err := unix.GetsockoptInt(fd, v6only.level, v6only.opt)
		if err != nil {
			return bound, os.NewSyscallError("getsockopt "+v6only.name, err)
		}
		if value != v6only.want {
			return bound, fmt.Errorf("the socket is for IPv6 %s, and %s is for IPv6 %s", v6onlyText[value], at, v6onlyText[v6only.want])
		}
	}
	gro, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO)
	if err == nil && gro != 0 && !c.GRO { // an error: an old kernel without this option
		return bound, &ConfigError{"GRO", errors.New("the predecessor has GRO on, and GRO batches may be queued at its sockets: keep GRO on, or stop the predecessor first")}
	}
	return bound, nil
}

var v6onlyText = map[int]string{0: "and IPv4", 1: "alone"}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// Seed returns the seed of the group's flow hash.
func (g handle) Seed() uint32 { return g.attacher.seed }

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
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("udp:%s/%d", g.address, s.counters.Index)))
	}
	return files, nil
}

// AdoptSockets makes the group the owner of its inherited sockets: see engine.Adopt.
func (g handle) AdoptSockets() (surplus int, err error) {
	if g.options.Inherited == nil {
		return 0, nil
	}
	largest := sync.OnceValue(sys.MaxReceiveBuffer)
	inherited := len(g.options.Inherited.Sockets)
	if err := g.configureInherited(inherited, largest); err != nil {
		return 0, err
	}
	for i := inherited; i < len(g.shards); i++ {
		c := g.config
		c.Join = true // the inherited sockets are the group's too
		fd, err := openSocket(c, g.address, i, largest)
		if err != nil {
			return 0, fmt.Errorf("listen on %s with %d shards more: %w", g.address, len(g.shards)-i, err)
		}
		g.shards[i].setSocket(fd)
	}
	g.options.Inherited = nil
	if inherited == len(g.shards) {
		g.attacher.publishNow()
		return 0, nil
	}
	return len(g.surplus), g.attacher.setDeferred(len(g.surplus) > 0)
}

// restore prepares a group for another Run after Quiesce, when no process has taken over. A
// successor that failed may have changed the sockets, which both processes hold.
func (g *Group) restore() error {
	if g.fenced() {
		return fmt.Errorf("%s: %w", g.address, engine.ErrFenced)
	}
	if err := g.configureInherited(len(g.shards), sync.OnceValue(sys.MaxReceiveBuffer)); err != nil {
		return err
	}
	return g.attacher.reattach()
}

// configureInherited sets the options of the first n sockets, which another process holds or held.
// A socket that the other process has drained still rejects new datagrams: see rejectNew.
func (g *Group) configureInherited(n int, largest func() int) (err error) {
	for i, s := range g.shards[:min(len(g.shards), n)] {
		if err := setOptions(s.fd, g.config, g.address, i, largest); err != nil {
			return fmt.Errorf("inherited socket %d: %w", i, err)
		}
		// The sockets of a service manager are non-blocking. All duplicates share this flag.
		if err := unix.SetNonblock(s.fd, false); err != nil {
			return os.NewSyscallError("fcntl F_SETFL", err)
		}
		if !g.config.GRO {
			// An error: an old kernel without this option.
			_ = unix.SetsockoptInt(s.fd, unix.SOL_UDP, unix.UDP_GRO, 0)
		}
		if _, err := sys.DetachFilter(s.fd); err != nil {
			return err
		}
	}
	if g.granted, err = sys.ReceiveBuffer(g.shards[0].fd); err != nil {
		return err
	}
	for _, s := range g.shards {
		s.setPause()
	}
	return nil
}
