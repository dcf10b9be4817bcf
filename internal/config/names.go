package config

import (
	"net"
	"net/netip"
	"sync"
)

// names are the addresses of the host names of a configuration. They are looked up once, when
// the configuration is read: a name server that does not answer holds up nobody who waits for
// datagrams.
type names map[string]lookup

// lookup is what came of looking up a host name.
type lookup struct {
	addr netip.Addr
	err  error
}

// mostLookups is how many host names are looked up at a time: a name server may drop more.
const mostLookups = 16

// lookUpHost returns the first IPv4 address of a host name, or else its first IPv6 address.
// Tests put another function in its place.
var lookUpHost = func(host string) (netip.Addr, error) {
	at, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		return netip.Addr{}, err
	}
	return at.AddrPort().Addr().Unmap(), nil
}

// lookUpNames looks up the host names of addresses, each once.
func lookUpNames(addresses []string) names {
	found := make(names)
	for _, address := range addresses {
		if _, ok := ParseLiteral(address); !ok {
			host, _, _ := net.SplitHostPort(address)
			found[host] = lookup{}
		}
	}
	var (
		mu      sync.Mutex
		running sync.WaitGroup
		places  = make(chan struct{}, mostLookups)
	)
	hosts := make([]string, 0, len(found))
	for host := range found {
		hosts = append(hosts, host)
	}
	for _, host := range hosts {
		running.Go(func() {
			places <- struct{}{}
			addr, err := lookUpHost(host)
			<-places
			mu.Lock()
			defer mu.Unlock()
			found[host] = lookup{addr, err}
		})
	}
	running.Wait()
	return found
}

// numeric returns an address with that of the host name in the place of the name, or the error
// of the lookup.
func (n names) numeric(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	found, isName := n[host]
	if err != nil || !isName || found.err != nil {
		return address, found.err
	}
	return net.JoinHostPort(found.addr.String(), port), nil
}

// lookUp looks up the host names of all addresses of the configuration.
func (c *Config) lookUp() {
	addresses := []string{c.HTTP}
	for _, l := range c.Listeners {
		addresses = append(addresses, l.Address)
	}
	found := lookUpNames(addresses)
	c.HTTPResolved, _ = found.numeric(c.HTTP) // net.Listen says what is wrong with it
	for _, l := range c.Listeners {
		l.numeric, l.unresolved = found.numeric(l.Address)
	}
}

// ParseLiteral returns an address that has no host name in a form that can be compared: [::]:5514
// for :5514, and port 0 for an address that can't be used. It asks no name server.
func ParseLiteral(address string) (at netip.AddrPort, ok bool) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, true
	}
	addr := netip.IPv6Unspecified()
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, false
		}
	}
	port, err := net.LookupPort("udp", service) // of a service, from /etc/services
	if err != nil {
		return netip.AddrPort{}, true
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}
