package config

import (
	"net/netip"
	"sync"

	"github.com/udpshard/udpshard/internal/hostport"
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

// lookUpHost is hostport.LookupHost. Tests put another function in its place.
var lookUpHost = hostport.LookupHost

// lookUpNames looks up the host names of addresses, each once.
func lookUpNames(addresses []hostport.Address) names {
	found := make(names)
	for _, a := range addresses {
		if a.IsName() {
			found[a.Host] = lookup{}
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

// numeric returns an address, of which text is the spelling, with that of the host name in the
// place of the name, or the error of the lookup.
func (n names) numeric(a hostport.Address, text string) (string, error) {
	found, isName := n[a.Host]
	if !isName || found.err != nil {
		return text, found.err
	}
	return netip.AddrPortFrom(found.addr, a.Port).String(), nil
}

// lookUp looks up the host names of all addresses of the configuration.
func (c *Config) lookUp() {
	http, _ := hostport.Parse("tcp", c.HTTP)
	addresses := []hostport.Address{http}
	for _, l := range c.Listeners {
		a, _ := hostport.Parse("udp", l.Address)
		addresses = append(addresses, a)
	}
	found := lookUpNames(addresses)
	c.HTTPResolved, _ = found.numeric(http, c.HTTP) // net.Listen says what is wrong with it
	for i, l := range c.Listeners {
		l.numeric, l.unresolved = found.numeric(addresses[i+1], l.Address)
	}
}
