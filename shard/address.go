package shard

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/sys"
)

// address is a resolved Config.Address.
type address struct {
	netip.AddrPort
	dual bool // without a host: IPv6 and IPv4
}

// String returns the address as logs, the status and errors show it.
func (a address) String() string {
	if a.dual {
		return fmt.Sprintf(":%d", a.Port())
	}
	return a.AddrPort.String()
}

// resolve returns the address of host:port. A host name stands for its first IPv4 address, or
// without IPv4 addresses for its first IPv6 address. The port may be a service's name, and an
// absent port is 0.
func resolve(text string) (address, error) {
	if text == "" {
		text = ":"
	}
	if strings.HasSuffix(text, ":") {
		text += "0"
	}
	parsed, err := hostport.Parse("udp", text)
	if err != nil {
		return address{}, &ConfigError{"Address", err}
	}
	if parsed.Host == "" {
		if !sys.HaveIPv6() {
			parsed.IP = netip.IPv4Unspecified()
		}
		return address{AddrPort: parsed.AddrPort(), dual: parsed.IP.Is6()}, nil
	}
	at, err := parsed.Resolve()
	if err != nil {
		return address{}, &ConfigError{"Address", fmt.Errorf("%q: %w", text, err)}
	}
	if isBroadcast(at.Addr()) {
		return address{}, &ConfigError{"Address", fmt.Errorf("%s is a broadcast address, and each socket gets a duplicate of its datagrams: listen on :%d", at.Addr(), at.Port())}
	}
	if at.Addr().IsMulticast() {
		return address{}, &ConfigError{"Address", fmt.Errorf("%s is a multicast group, and groups are not joined: listen on :%d", at.Addr(), at.Port())}
	}
	if zone := at.Addr().Zone(); zone != "" {
		if _, err := sys.ZoneIndex(zone); err != nil {
			return address{}, &ConfigError{"Address", err}
		}
	}
	return address{AddrPort: at}, nil
}

// isBroadcast reports whether an address is the limited broadcast address, or the broadcast address
// of an interface's network.
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
			continue // RFC 3021: networks of two addresses have no broadcast address
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
