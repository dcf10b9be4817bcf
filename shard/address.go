package shard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// resolve turns host:port into an address. A name resolves to its first IPv4
// address, or else its first IPv6 one (net.ResolveUDPAddr); a port may be a
// service's name.
func resolve(hostport string) (address, error) {
	if hostport == "" {
		hostport = ":0"
	}
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return address{}, &ConfigError{"Address", fmt.Errorf("%q is not host:port, [ipv6]:port or :port", hostport)}
	}
	if host == "" {
		udp, err := net.ResolveUDPAddr("udp", hostport)
		if err != nil {
			return address{}, &ConfigError{"Address", fmt.Errorf("port %q: %w", port, err)}
		}
		if !haveIPv6() {
			return address{AddrPort: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(udp.Port))}, nil
		}
		return address{AddrPort: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(udp.Port)), dual: true}, nil
	}
	udp, err := net.ResolveUDPAddr("udp", hostport)
	if err != nil {
		return address{}, &ConfigError{"Address", fmt.Errorf("%q: %w", hostport, err)}
	}
	at := udp.AddrPort()
	if at.Addr().IsMulticast() {
		return address{}, &ConfigError{"Address", fmt.Errorf("%s is a multicast group, and groups are not joined: listen on :%s", at.Addr(), port)}
	}
	if zone := at.Addr().Zone(); zone != "" {
		if _, err := zoneIndex(zone); err != nil {
			return address{}, &ConfigError{"Address", err}
		}
	}
	return address{AddrPort: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, nil
}

// haveIPv6 probes for IPv6: there is no such family on hosts that run with
// ipv6.disable=1 or without the module.
func haveIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EAFNOSUPPORT)
}
