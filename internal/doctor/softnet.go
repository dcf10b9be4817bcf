package doctor

import (
	"cmp"
	"fmt"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/format"
)

// maxSqueezes is how often a second the kernel may leave packets for its next round without a
// finding: bursts cause that on every host.
const maxSqueezes = 10

// softnet checks the kernel's backlog: each CPU's queue of packets between interface and protocol
// (net/softnet_stat). The counters are those of the whole host, also in a container.
func (e *examination) softnet(r *results) {
	if err := cmp.Or(e.after.softnetErr, e.before.softnetErr); err != nil {
		r.skip("%s", why(err))
		return
	}
	if !e.watching() {
		r.skip("needs two readings: the counters have 32 bits, and wrap")
		return
	}
	var dropped, squeezed uint64
	before := make(map[uint32]procfs.SoftnetStat)
	for _, cpu := range e.before.softnet {
		before[cpu.Index] = cpu
	}
	for _, cpu := range e.after.softnet {
		if was, ok := before[cpu.Index]; ok { // else the CPU came online meanwhile, with old counts
			dropped += uint64(cpu.Dropped - was.Dropped) // wraps
			squeezed += uint64(cpu.TimeSqueezed - was.TimeSqueezed)
		}
	}
	switch seconds := e.after.at.Sub(e.before.at).Seconds(); {
	case dropped > 0:
		r.fail("sysctl -w "+e.doubled("netdev_max_backlog", 1000), "the backlog drops packets now: %s %s", format.Count(dropped), e.within())
	case float64(squeezed) > maxSqueezes*seconds:
		r.warn(fmt.Sprintf("sysctl -w %s %s", e.doubled("netdev_budget", 300), e.doubled("netdev_budget_usecs", 2000)),
			"CPUs run out of time for receiving (time_squeeze): %s times %s; packets wait in the interface's ring meanwhile", format.Count(squeezed), e.within())
	default:
		r.ok("the backlog dropped nothing and time_squeeze grew by %s %s", format.Count(squeezed), e.within())
	}
}

// doubled returns twice the value of a setting of net.core, or twice its default where the
// setting can't be read.
func (e *examination) doubled(name string, byDefault uint64) string {
	value, err := number(e.Proc, "sys/net/core", name)
	if err != nil {
		value = byDefault
	}
	return fmt.Sprintf("net.core.%s=%d", name, 2*value)
}
