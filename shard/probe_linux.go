package shard

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// Probe returns the error that Listen would return for c, without the port of c: Probe opens one
// socket at a free port, for a moment. holders returns the sockets of other processes that keep
// Listen from an address; with dual the address is for IPv6 and IPv4. Any goroutine may call Probe.
// Probe can't see whether a socket of this user has SO_REUSEPORT, and assumes so.
func Probe(c Config, holders func(at netip.AddrPort, dual bool) ([]Holder, error)) error {
	c, err := c.Complete()
	if err != nil {
		return err
	}
	at, err := resolve(c.Address)
	if err != nil {
		return err
	}
	if err := probeSocket(c, at); err != nil {
		return fmt.Errorf("listen on %s: %w", at, err)
	}
	if at.Port() == 0 {
		return nil
	}
	held, err := holders(at.AddrPort, at.dual)
	if err != nil {
		return fmt.Errorf("listen on %s: find the holders of the port: %w", at, err)
	}
	inUse := &InUseError{Address: at.String(), Holders: held, Join: c.Join}
	if len(held) > 0 && (!c.Join || inUse.foreign()) {
		return fmt.Errorf("listen on %s: %w", at, inUse)
	}
	return nil
}

// probeSocket opens the first socket at a free port, and then binds the socket to the port of c. A
// bound socket gets no other port (EINVAL), but the kernel checks the permission before
// (__inet_bind in net/ipv4/af_inet.c, __inet6_bind in net/ipv6/af_inet6.c, Linux 6.18).
func probeSocket(c Config, at address) error {
	c.Join = false
	fd, err := openSocket(c, address{netip.AddrPortFrom(at.Addr(), 0), at.dual}, 0, sys.MaxReceiveBuffer)
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
