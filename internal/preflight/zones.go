package preflight

import (
	"runtime/debug"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/packet/dns"
)

// zonesTimeout limits the reading of the zones of a listener. 1,000,000 names take some seconds on
// one core; files of a file server that does not answer would take forever.
const zonesTimeout = 5 * time.Minute

// LoadListenerZones reads the zones of a listener with the protocol dns. Errors have the position
// of the setting, and the position in the zone file.
func LoadListenerZones(l *config.Listener) (*dns.Zones, error) {
	load := func() (*dns.Zones, error) { return dns.LoadZones(l.Zones...) }
	zones, err := regular.WithTimeout(zonesTimeout, "read the zones", load)
	debug.FreeOSMemory() // the load takes several times the memory of the zones
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

// LoadZones reads the zones of all listeners with the protocol dns, by the name of the listener.
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
