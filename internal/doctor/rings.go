package doctor

import (
	"fmt"
	"path/filepath"

	"github.com/udpshard/udpshard/internal/format"
)

// ringDrops are the packets that a device received, and the packets dropped at a full ring.
type ringDrops struct{ missed, received uint64 }

// readRing reads the counters of a device. Drivers count a drop in rx_missed_errors, in
// rx_fifo_errors or in both (Documentation/networking/statistics.rst). rx_dropped also has packets
// that no protocol wanted.
func (e *examination) readRing(name string) (d ringDrops) {
	statistics := filepath.Join(e.Sys, "class/net", name, "statistics")
	missed, _ := number(statistics, "rx_missed_errors")
	fifo, _ := number(statistics, "rx_fifo_errors")
	d.missed = max(missed, fifo)
	d.received, _ = number(statistics, "rx_packets")
	return d
}

// rings checks whether devices drop packets before the kernel sees these.
func (e *examination) rings(r *results) {
	for _, name := range e.devices() {
		before, after := e.before.rings[name], e.after.rings[name]
		slots, most, err := e.Ethtool.Ring(name)
		device := name
		if err == nil && slots > 0 {
			device += fmt.Sprintf(": %s slots of at most %s", format.Count(uint64(slots)), format.Count(uint64(most)))
		}
		remedy := fmt.Sprintf("ethtool -S %s", name)
		if err == nil && slots < most {
			remedy = fmt.Sprintf("ethtool -G %s rx %d", name, most)
		}
		switch missed := growth(before.missed, after.missed); {
		case missed > 0:
			r.fail(remedy, "%s: packets are dropped now because the ring is full: %s %s", device, format.Count(missed), e.within())
		case after.missed > after.received/rare:
			r.warn(remedy, "%s: %s of %s packets were dropped because the ring was full", device, format.Count(after.missed), format.Count(after.received))
		default:
			r.ok("%s: no packets dropped, %s received", device, format.Count(after.received))
		}
	}
}
