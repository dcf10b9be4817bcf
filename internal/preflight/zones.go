package preflight

import (
	"runtime/debug"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/packet/dns"
)

// zonesTimeout is how long reading the zones of a listener may take. 1,000,000 names
// take some seconds on one core; a file server that is away takes for ever.
const zonesTimeout = 5 * time.Minute

// LoadZones reads the zones of a listener of DNS. Errors name the place of the setting and of the
// mistake.
func LoadListenerZones(l *config.Listener) (*dns.Zones, error) {
	zones, err := regular.WithTimeout(zonesTimeout, "read the zones", func() (*dns.Zones, error) { return dns.LoadZones(l.Zones...) })
	debug.FreeOSMemory() // loading takes several times what is kept
	if err != nil {
		var errs []error
		for _, err := range cli.Separate(err) {
			errs = append(errs, l.ErrorAt("zone", err))
		}
		return nil, cli.Join(errs...)
	}
	if len(l.Sinkhole) > 0 {
		zones = zones.WithSinkhole(l.Sinkhole)
	}
	return zones, nil
}

// LoadZones reads the zones of all listeners of DNS. The map has the names of listeners as keys.
func LoadZones(listeners []*config.Listener) (map[string]*dns.Zones, error) {
	zones := make(map[string]*dns.Zones)
	var errs []error
	for _, l := range listeners {
		if l.Protocol != "dns" {
			continue
		}
		z, err := LoadListenerZones(l)
		zones[l.Name] = z
		errs = append(errs, err)
	}
	return zones, cli.Join(errs...)
}
