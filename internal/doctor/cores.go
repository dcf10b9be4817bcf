package doctor

import (
	"fmt"
	"slices"

	"github.com/udpshard/udpshard/internal/format"
)

// cores compares the shards of a listener with the CPUs that they are pinned to.
func (e *examination) cores(r *results, l Listener) {
	cores := l.cores()
	usable, err := e.affinity()
	unusable := func(cpu int) bool { return !slices.Contains(usable, cpu) }
	shards := fmt.Sprintf("%s on %s (%s)", format.Plural(l.Shards, "shard"), format.Plural(len(cores), "CPU"), cores)
	switch {
	case err == nil && e.process.running && slices.ContainsFunc(cores, unusable):
		flag := "--cpus " + usable.String()
		r.warn(e.orRestart("udpshard serve "+flag, "with "+flag), "%s, but %s may only use %s", shards, e.process, usable)
	case len(cores) < l.Shards:
		flag := fmt.Sprintf("--shards %d", len(cores))
		r.warn(e.orRestart("udpshard serve "+flag, "with "+flag), "%s: shards that share a CPU wait for each other, and their queues fill meanwhile", shards)
	case err != nil:
		r.ok("%s", shards)
	default:
		r.ok("%s of the %d that %s may use", shards, len(usable), e.process)
	}
}
