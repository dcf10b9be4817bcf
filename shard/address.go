package shard

import (
	"fmt"
	"net"
	"net/netip"
	"os"
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
	return address{AddrPort: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, nil
}

// haveIPv6 probes for IPv6 as the kernel's own tools do: the file is there
// unless the host runs with ipv6.disable=1 or without the module.
func haveIPv6() bool {
	_, err := os.Stat("/proc/net/if_inet6")
	return err == nil
}
