package doctor

import (
	"fmt"
	"path/filepath"

	"github.com/udpshard/udpshard/internal/format"
)

// ringDrops are the datagrams, and other packets, that a device had no room for.
type ringDrops struct{ missed, received uint64 }

// readRing reads a device's counters. Drivers count rx_missed_errors,
// rx_fifo_errors or both for one and the same (Documentation/networking/
// statistics.rst); rx_dropped has what nobody wanted, too.
func (e *examination) readRing(name string) (d ringDrops) {
	statistics := filepath.Join(e.Sys, "class/net", name, "statistics")
	missed, _ := number(statistics, "rx_missed_errors")
	fifo, _ := number(statistics, "rx_fifo_errors")
	d.missed = max(missed, fifo)
	d.received, _ = number(statistics, "rx_packets")
	return d
}

// rings judges whether devices drop before the kernel sees anything.
func (e *examination) rings() []Finding {
	const c check = "rx ring"
	var findings []Finding
	for _, name := range e.devices() {
		before, after := e.before.rings[name], e.after.rings[name]
		slots, most, err := e.Ethtool.Ring(name)
		said := name
		if err == nil && slots > 0 {
			said += fmt.Sprintf(": %s slots of at most %s", format.Count(uint64(slots)), format.Count(uint64(most)))
		}
		remedy := fmt.Sprintf("ethtool -S %s", name)
		if err == nil && slots < most {
			remedy = fmt.Sprintf("ethtool -G %s rx %d", name, most)
		}
		switch missed := grown(before.missed, after.missed); {
		case missed > 0:
			findings = append(findings, c.fail(remedy, "%s: it drops now, for want of room: %s packets %s", said, format.Count(missed), e.within()))
		case after.missed > after.received/rare:
			findings = append(findings, c.warn(remedy, "%s: it has dropped %s of %s packets for want of room since it began", said, format.Count(after.missed), format.Count(after.received)))
		default:
			findings = append(findings, c.ok("%s: none dropped for want of room, %s packets received", said, format.Count(after.received)))
		}
	}
	return findings
}
