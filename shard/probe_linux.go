package shard

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// Probe returns what would keep Listen from opening the sockets of c, and takes no port for it
// but one that is free, for a moment. The errors are Listen's: a *ConfigError, an *InUseError, or
// what the kernel says to an option or an address. holders returns those sockets of other
// processes that keep Listen from an address; dual says that the address is for IPv6 and IPv4.
// Any goroutine may call Probe. It can't see whether a socket of this user can be joined
// (SO_REUSEPORT), and takes it for one that can.
func Probe(c Config, holders func(at netip.AddrPort, dual bool) ([]Holder, error)) error {
	c, err := c.Complete()
	if err != nil {
		return err
	}
	at, err := resolve(c.Address)
	if err != nil {
		return err
	}
	if err := mayOpen(c, at); err != nil {
		return fmt.Errorf("listen on %s: %w", at, err)
	}
	if at.Port() == 0 {
		return nil
	}
	held, err := holders(at.AddrPort, at.dual)
	if err != nil {
		return fmt.Errorf("listen on %s: see who has the port: %w", at, err)
	}
	inUse := &InUseError{Address: at.String(), Holders: held, Join: c.Join}
	if len(held) > 0 && (!c.Join || inUse.foreign()) {
		return fmt.Errorf("listen on %s: %w", at, inUse)
	}
	return nil
}

// mayOpen opens the first socket at a free port, and then tries to bind it to its own: a socket
// that has a port gets no second one (EINVAL), but whether the process may have that is judged
// before (__inet_bind in net/ipv4/af_inet.c, __inet6_bind in net/ipv6/af_inet6.c, Linux 6.18).
func mayOpen(c Config, at address) error {
	c.Join = false
	fd, err := openSocket(c, address{netip.AddrPortFrom(at.Addr(), 0), at.dual}, 0, largestBuffer)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	name, err := sys.Sockaddr(at.AddrPort)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, name); err != nil && !errors.Is(err, unix.EINVAL) {
		return bindError(at, err)
	}
	return nil
}
