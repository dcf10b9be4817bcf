package config

import (
	"net/netip"
	"sync"

	"github.com/udpshard/udpshard/internal/hostport"
)

// maxLookups limits the look-ups at a time: a name server may drop queries above its limit.
const maxLookups = 16

// lookUpHost is hostport.LookupHost, or the function of a test.
var lookUpHost = hostport.LookupHost

// lookUp looks up the host names of all addresses, each name once, when the configuration is
// read. A name server without answers then delays no process that receives datagrams.
func (c *Config) lookUp() {
	http, _ := hostport.Parse("tcp", c.HTTP)
	addresses := []hostport.Address{http}
	for _, l := range c.Listeners {
		a, _ := hostport.Parse("udp", l.Address)
		addresses = append(addresses, a)
	}
	names := make(map[string]func() (netip.Addr, error))
	for _, a := range addresses {
		if a.IsName() && names[a.Host] == nil {
			names[a.Host] = sync.OnceValues(func() (netip.Addr, error) { return lookUpHost(a.Host) })
		}
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, maxLookups)
	for _, lookUp := range names {
		slots <- struct{}{}
		running.Go(func() {
			lookUp()
			<-slots
		})
	}
	running.Wait()
	resolve := func(a hostport.Address, text string) (string, error) {
		lookUp := names[a.Host]
		if lookUp == nil {
			return text, nil
		}
		addr, err := lookUp()
		if err != nil {
			return text, err
		}
		return netip.AddrPortFrom(addr, a.Port).String(), nil
	}
	c.HTTPResolved, _ = resolve(http, c.HTTP) // net.Listen returns the error
	for i, l := range c.Listeners {
		l.resolved, l.unresolved = resolve(addresses[i+1], l.Address)
	}
}
