package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/regular"
	"github.com/udpshard/udpshard/packet/dns"
)

// zonesTimeout limits the reading of the zones of a listener. 1,000,000 names take some seconds on
// one core; files of a file server that does not answer would take forever.
const zonesTimeout = 5 * time.Minute

// loadGCPercent is GOGC while zones are read: the memory of the process grows by little more than
// the zones need. A collection is fast, because zones have almost no pointers: a zone of 1,000,000
// names is loaded as fast as with 100.
const loadGCPercent = 2

// LoadListenerZones reads the zones of a listener with the protocol dns. Bad zones are in
// Zones.Failed. If no zone is good, and previous has none of them either, the errors have the
// position of the setting, and the position in the zone file. previous may be nil.
func LoadListenerZones(l *config.Listener, previous *dns.Zones) (*dns.Zones, error) {
	defer debug.FreeOSMemory() // of the files
	defer debug.SetGCPercent(debug.SetGCPercent(loadGCPercent))
	zones, err := regular.WithTimeout(zonesTimeout, "read the zones", func() (*dns.Zones, error) {
		sources, err := zoneSources(l)
		if err != nil {
			return nil, l.ErrorAt("zone_dir", err)
		}
		return dns.Load(sources, previous), nil
	})
	if err != nil {
		return nil, err
	}
	if failed := zones.Failed(); len(failed) > 0 && len(zones.List()) == 0 {
		return nil, failedZonesError(l, failed)
	}
	if len(l.Sinkhole) > 0 {
		zones = zones.WithSinkhole(l.Sinkhole)
	}
	return zones, nil
}

// failedZonesError returns the errors of zones, with the positions of the settings.
func failedZonesError(l *config.Listener, failed []*dns.ZoneError) error {
	var errs []error
	for _, zone := range failed {
		key := "zone_dir"
		if slices.Contains(l.Zones, zone.Source) {
			key = "zone"
		}
		errs = append(errs, l.ErrorAt(key, zone))
	}
	return cli.Join(errs...)
}

// zoneSources returns the zones of a listener: first those of the setting zone, then the files of
// the folders of zone_dir by name.
func zoneSources(l *config.Listener) ([]dns.Source, error) {
	sources := slices.Clone(l.Zones)
	for _, folder := range l.ZoneDirs {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			path := filepath.Join(folder, entry.Name())
			if !isZoneFile(entry.Name()) {
				continue
			}
			if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
				sources = append(sources, dns.Source{File: path})
			}
		}
	}
	if len(l.ZoneDirs) > 0 && len(sources) == 0 {
		return nil, fmt.Errorf("%s: no zone file", strings.Join(l.ZoneDirs, ", "))
	}
	return sources, nil
}

// otherFiles are ends of names that no zone file in a folder has: of backups, and of files that
// stand beside zones.
var otherFiles = []string{"~", ".bak", ".backup", ".old", ".orig", ".save", ".swp", ".tmp", ".rej",
	".rpmsave", ".rpmnew", ".rpmorig", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".jnl",
	".key", ".private", ".conf", ".txt", ".md"}

// isZoneFile reports whether a file of a folder is a zone by its name: NAME.zone, NAME.db, or a
// domain name of letters, digits, - and _ with a dot.
func isZoneFile(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") ||
		slices.ContainsFunc(otherFiles, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return false
	}
	if strings.HasSuffix(name, ".zone") || strings.HasSuffix(name, ".db") {
		return true
	}
	notInHost := func(c rune) bool {
		return c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z')
	}
	return strings.Contains(name, ".") && strings.IndexFunc(name, notInHost) < 0 && dns.CheckOrigin(name) == nil
}

// LoadZones reads the zones of all listeners with the protocol dns, by the name of the listener.
// previous are the zones before.
func LoadZones(listeners []*config.Listener, previous map[string]*dns.Zones) (map[string]*dns.Zones, error) {
	zones := make(map[string]*dns.Zones)
	var errs []error
	for _, l := range listeners {
		if l.Protocol != "dns" {
			continue
		}
		z, err := LoadListenerZones(l, previous[l.Name])
		zones[l.Name] = z
		errs = append(errs, err)
	}
	return zones, cli.Join(errs...)
}

// checkZones returns the errors of all bad zones: serve starts with the others if there are any.
func (c *Check) checkZones() error {
	zones, err := LoadZones(c.Config.Listeners, nil)
	errs := []error{err}
	for _, l := range c.Config.Listeners {
		if z := zones[l.Name]; z != nil {
			errs = append(errs, failedZonesError(l, z.Failed()))
		}
	}
	return cli.Join(errs...)
}
