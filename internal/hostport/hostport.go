// Package hostport parses addresses of the form host:port, as flags, configuration files and
// the API of package shard have them.
package hostport

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Address is a parsed host:port. A host name in Address is not looked up yet.
type Address struct {
	Host string     // IP address or host name; "": all addresses of this host
	IP   netip.Addr // Host as an IP address, IPv4-mapped as IPv4; :: for no Host; zero for a name
	Port uint16
}

// Parse parses host:port, [ipv6]:port or :port. The port is a number, or a service of the
// network, "udp" or "tcp", in /etc/services. Parse asks no name server.
func Parse(network, text string) (Address, error) {
	return parse(network, text, text, "host:port, [ipv6]:port or :port")
}

// ParseOrPort is Parse, and also accepts a port alone: 5514 for :5514.
func ParseOrPort(network, text string) (Address, error) {
	address := text
	if !strings.ContainsAny(text, ":.") {
		address = ":" + text
	}
	return parse(network, text, address, "host:port, [ipv6]:port, :port or a port")
}

// parse parses address. Errors have text, as the user wrote it, and the forms that are accepted.
func parse(network, text, address, forms string) (Address, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil || service == "" || host == "" && address[0] == '[' {
		return Address{}, fmt.Errorf("%q is not %s", text, forms)
	}
	port, err := net.LookupPort(network, service)
	if err != nil {
		return Address{}, fmt.Errorf("%q: port %q is neither a number up to 65535 nor a %s service in /etc/services", text, service, network)
	}
	a := Address{Host: host, IP: netip.IPv6Unspecified(), Port: uint16(port)}
	if host != "" {
		ip, _ := netip.ParseAddr(host)
		a.IP = ip.Unmap()
	}
	return a, nil
}

// ParseRemote is Parse for an address to send to: the host is required.
func ParseRemote(network, text string) (Address, error) {
	const forms = "host:port or [ipv6]:port"
	a, err := parse(network, text, text, forms)
	if err == nil && a.Host == "" {
		err = fmt.Errorf("%q is not %s", text, forms)
	}
	return a, err
}

// IsName reports whether Host is a host name.
func (a Address) IsName() bool { return a.Host != "" && !a.IP.IsValid() }

// AddrPort returns IP and Port, and the zero AddrPort where Host is a host name.
func (a Address) AddrPort() netip.AddrPort {
	if !a.IP.IsValid() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.IP, a.Port)
}

// Resolve returns AddrPort, with the address of LookupHost where Host is a host name.
func (a Address) Resolve() (netip.AddrPort, error) {
	if !a.IsName() {
		return a.AddrPort(), nil
	}
	ip, err := LookupHost(a.Host)
	return netip.AddrPortFrom(ip, a.Port), err
}

// String returns host:port, with the port as a number.
func (a Address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

// LookupHost returns the first IPv4 address of a host name, or else its first IPv6 address
// (net.ResolveUDPAddr).
func LookupHost(name string) (netip.Addr, error) {
	at, err := net.ResolveUDPAddr("udp", net.JoinHostPort(name, "0"))
	if err != nil {
		return netip.Addr{}, err
	}
	return at.AddrPort().Addr().Unmap(), nil
}
