package shard

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
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
	if isBroadcast(at.Addr().Unmap()) {
		return address{}, &ConfigError{"Address", fmt.Errorf("%s is a broadcast address, of which each socket gets a copy: listen on :%s", at.Addr(), port)}
	}
	if at.Addr().IsMulticast() {
		return address{}, &ConfigError{"Address", fmt.Errorf("%s is a multicast group, and groups are not joined: listen on :%s", at.Addr(), port)}
	}
	if zone := at.Addr().Zone(); zone != "" {
		if _, err := sys.ZoneIndex(zone); err != nil {
			return address{}, &ConfigError{"Address", err}
		}
	}
	return address{AddrPort: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}, nil
}

// isBroadcast says whether an address is the limited broadcast's or that of an
// interface's network.
func isBroadcast(addr netip.Addr) bool {
	if addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return true
	}
	networks, _ := net.InterfaceAddrs()
	for _, network := range networks {
		n, ok := network.(*net.IPNet)
		if !ok || !addr.Is4() || len(n.Mask) != net.IPv4len || !n.Contains(addr.AsSlice()) {
			continue
		}
		if ones, bits := n.Mask.Size(); bits-ones < 2 {
			continue // RFC 3021: no broadcast in such small ones
		}
		last := addr.As4()
		for i := range last {
			last[i] |= ^n.Mask[i]
		}
		if addr == netip.AddrFrom4(last) {
			return true
		}
	}
	return false
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
