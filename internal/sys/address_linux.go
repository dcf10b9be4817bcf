package sys

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// BoundAddress returns the IPv4 or IPv6 address that a socket is bound to.
func BoundAddress(fd int) (netip.AddrPort, error) {
	name, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch name := name.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port)), nil
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(name.Addr)
		if name.ZoneId != 0 {
			addr = addr.WithZone(ZoneName(name.ZoneId))
		}
		return netip.AddrPortFrom(addr, uint16(name.Port)), nil
	}
	return netip.AddrPort{}, fmt.Errorf("getsockname: unknown address family %T", name)
}

// Sockaddr returns an address in the form of bind(2). A zone that is not an interface of this host
// is an error.
func Sockaddr(at netip.AddrPort) (unix.Sockaddr, error) {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, nil
	}
	name := &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if zone := at.Addr().Zone(); zone != "" {
		index, err := ZoneIndex(zone)
		if err != nil {
			return nil, err
		}
		name.ZoneId = index
	}
	return name, nil
}

// ZoneName returns the zone of an interface: the interface's name, or the index where the
// interface has gone.
func ZoneName(index uint32) string {
	if iface, err := net.InterfaceByIndex(int(index)); err == nil {
		return iface.Name
	}
	return strconv.Itoa(int(index))
}

// ZoneIndex returns the interface index of a zone: an interface's name, or an index.
func ZoneIndex(zone string) (uint32, error) {
	if iface, err := net.InterfaceByName(zone); err == nil {
		return uint32(iface.Index), nil
	}
	index, err := strconv.ParseUint(zone, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("zone %q is no interface of this host", zone)
	}
	return uint32(index), nil
}

// HaveIPv6 reports whether the kernel has IPv6: not with ipv6.disable=1, or without the module.
func HaveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EAFNOSUPPORT)
}
