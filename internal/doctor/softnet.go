package doctor

import (
	"cmp"
	"fmt"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/format"
)

// squeezes are how often a second the kernel may leave packets for its next
// round before that says anything: bursts do it on every host.
const squeezes = 10

// softnet judges the kernel's backlog, which is each CPU's queue of packets
// between interface and protocol (net/softnet_stat): the whole host's, also
// where this is a container.
func (e *examination) softnet() []Finding {
	const c check = "softnet"
	if err := cmp.Or(e.after.softnetErr, e.before.softnetErr); err != nil {
		return []Finding{c.skip("%s", why(err))}
	}
	if !e.watching() {
		return []Finding{c.skip("one reading tells nothing: the counters are of 32 bits, and wrap")}
	}
	var dropped, squeezed uint64
	before := make(map[uint32]procfs.SoftnetStat)
	for _, cpu := range e.before.softnet {
		before[cpu.Index] = cpu
	}
	for _, cpu := range e.after.softnet {
		was, ok := before[cpu.Index]
		if !ok {
			continue // it came online meanwhile, with what it counted before
		}
		dropped += uint64(cpu.Dropped - was.Dropped) // they are 32 bits, and wrap
		squeezed += uint64(cpu.TimeSqueezed - was.TimeSqueezed)
	}
	backlog := e.enlarged("net/core/netdev_max_backlog", "net.core.netdev_max_backlog", 1000)
	switch elapsed := e.after.at.Sub(e.before.at).Seconds(); {
	case dropped > 0:
		return []Finding{c.fail("sysctl -w "+backlog, "the backlog drops packets now: %s %s", format.Count(dropped), e.within())}
	case float64(squeezed) > squeezes*elapsed:
		return []Finding{c.warn(fmt.Sprintf("sysctl -w %s %s", e.enlarged("net/core/netdev_budget", "net.core.netdev_budget", 300),
			e.enlarged("net/core/netdev_budget_usecs", "net.core.netdev_budget_usecs", 2000)),
			"CPUs run out of time for receiving (time_squeeze): %s times %s; packets wait in the interface's ring meanwhile", format.Count(squeezed), e.within())}
	}
	return []Finding{c.ok("the backlog dropped nothing and time_squeeze grew by %s %s", format.Count(squeezed), e.within())}
}

// enlarged returns the setting that doubles a limit, from its default where
// it can't be read.
func (e *examination) enlarged(file, name string, otherwise uint64) string {
	is, err := number(e.Proc, "sys", file)
	if err != nil {
		is = otherwise
	}
	return fmt.Sprintf("%s=%d", name, 2*is)
}
