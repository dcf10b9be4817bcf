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

// mayBind asks the kernel whether this process may bind an address. The only port that mayBind
// takes is a free one, for a moment: it binds a socket to port 0, and then again to the port in
// question. The second bind fails with EINVAL, but the kernel checks the right to the port before
// that (__inet_bind in net/ipv4/af_inet.c, __inet6_bind in net/ipv6/af_inet6.c, Linux 6.18). The
// first bind checks whether the address is an address of this host.
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

// freePort checks a port without sockets.
func (e *examination) freePort(r *results, l Listener) {
	port := l.Address.Port()
	err := e.MayBind(l.Address)
	if l.Dual && errors.Is(err, unix.EAFNOSUPPORT) { // then serve listens on IPv4 alone
		err = e.MayBind(netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	isDown := func(i Interface) bool { return i.Loopback && !i.Up }
	noAddress := errors.Is(err, unix.EADDRNOTAVAIL)
	switch {
	case err == nil && port == 0:
		r.ok("serve will bind any free port")
	case err == nil:
		r.ok("port %d is free: serve can bind it", port)
	case errors.Is(err, unix.EACCES):
		r.fail("sysctl -w net.ipv4.ip_unprivileged_port_start="+strconv.Itoa(int(port)), "port %d is free, but uid %d may not bind it: ports below "+
			"net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE: grant the capability, or use a port above 1023", port, os.Geteuid())
	case noAddress && l.Address.Addr().IsLoopback() && slices.ContainsFunc(e.interfaces, isDown):
		r.fail("ip link set lo up", "serve can't listen on %s: the loopback interface is down", l.Address)
	case noAddress && l.Address.Addr() == netip.IPv6Loopback():
		r.fail("sysctl -w net.ipv6.conf.lo.disable_ipv6=0", "serve can't listen on %s: the loopback interface has no IPv6", l.Address)
	case noAddress:
		r.fail("ip address", "serve can't listen on %s: no interface of this host has the address", l.Address)
	case errors.Is(err, unix.EAFNOSUPPORT):
		r.fail("boot without ipv6.disable=1", "serve can't listen on %s: this host has no IPv6", l.Address)
	default:
		r.skip("not known whether serve can listen on %s: %v", l.Address, err)
	}
}
