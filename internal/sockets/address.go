package sockets

import (
	"fmt"
	"net/netip"

	"github.com/udpshard/udpshard/internal/hostport"
)

// ParseAddress parses an address as serve's --listen has it, or a port alone. An
// unspecified address means all sockets of the port.
func ParseAddress(text string) (at netip.AddrPort, err error) {
	address, err := hostport.ParseOrPort("udp", text)
	if err != nil {
		return at, err
	}
	if at, err = address.Resolve(); err != nil {
		return at, fmt.Errorf("%q: %w", text, err)
	}
	if at.Port() == 0 {
		return at, fmt.Errorf("%q: no socket is bound to port 0", text)
	}
	if ip := at.Addr(); ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return at, fmt.Errorf("%s is not the address of one receiver: each listening socket receives a copy; list the sockets of port %d alone", ip, at.Port())
	}
	return at, nil
}
