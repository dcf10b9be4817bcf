package doctor

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// mayBind asks the kernel whether this process may bind an address, and takes
// no port for it but one that is free, for a moment. A socket that has a port
// is not bound a second time (EINVAL), but whether its process may have the
// second port is judged before that (__inet_bind in net/ipv4/af_inet.c,
// __inet6_bind in net/ipv6/af_inet6.c, Linux 6.18), and whether the address is
// this host's at the first time.
func mayBind(at netip.AddrPort) error {
	family := unix.AF_INET
	if at.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	for _, port := range []uint16{0, at.Port()} {
		name, err := sys.Sockaddr(netip.AddrPortFrom(at.Addr(), port))
		if err != nil {
			return err
		}
		if err = unix.Bind(fd, name); errors.Is(err, unix.EINVAL) {
			return nil
		} else if err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	return nil
}

// free judges a port that nobody has.
func (e *examination) free(c check, l Listener) Finding {
	port := l.Address.Port()
	err := e.MayBind(l.Address)
	if l.Dual && errors.Is(err, unix.EAFNOSUPPORT) { // then serve listens on IPv4 alone
		err = e.MayBind(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	down := func(i Interface) bool { return i.Loopback && !i.Up }
	switch {
	case err == nil && port == 0:
		return c.ok("any free port will be taken")
	case err == nil:
		return c.ok("nobody has port %d: serve can take it", port)
	case errors.Is(err, unix.EACCES):
		return c.fail("sysctl -w net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(int(port)), "nobody has port %d, but uid %d may not take it: ports below "+
			"net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: grant it, or take a port above 1023", port, os.Geteuid())
	case errors.Is(err, unix.EADDRNOTAVAIL) && l.Address.Addr().IsLoopback() && slices.ContainsFunc(e.interfaces, down):
		return c.fail("ip link set lo up", "serve can't listen on %s: the loopback interface is down", l.Address)
	case errors.Is(err, unix.EADDRNOTAVAIL) && l.Address.Addr() == netip.IPv6Loopback():
		return c.fail("sysctl -w net.ipv6.conf.lo.disable_ipv6=0", "serve can't listen on %s: the loopback interface has no IPv6", l.Address)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return c.fail("ip address", "serve can't listen on %s: no interface of this host has that address", l.Address)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return c.fail("boot without ipv6.disable=1", "serve can't listen on %s: there is no IPv6 here", l.Address)
	}
	return c.skip("whether serve could listen on %s can't be told: %v", l.Address, err)
}
