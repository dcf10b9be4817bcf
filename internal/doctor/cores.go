package doctor

import (
	"fmt"
	"slices"

	"github.com/udpshard/udpshard/internal/format"
)

// cores compares a listener's shards with the CPUs that they are pinned to.
func (e *examination) cores(l Listener) []Finding {
	const c check = "cpus"
	cores := l.cores()
	var lacking []int
	usable, err := e.affinity()
	if err == nil && e.process.running {
		for _, cpu := range cores {
			if !slices.Contains(usable, cpu) {
				lacking = append(lacking, cpu)
			}
		}
	}
	said := fmt.Sprintf("%s on %s (%s)", format.Plural(l.Shards, "shard"), format.Plural(len(cores), "CPU"),
		cores)
	switch {
	case len(lacking) > 0:
		flag := "--cpus " + usable.String()
		return []Finding{c.warn(e.orRestart("udpshard serve "+flag, "with "+flag),
			"%s, but %s may only use %s", said, e.process.of(), usable)}
	case len(cores) < l.Shards:
		fewer := fmt.Sprintf("--shards %d", len(cores))
		return []Finding{c.warn(e.orRestart("udpshard serve "+fewer, "with "+fewer),
			"%s: shards that share a core wait for each other, and their queues fill meanwhile", said)}
	case err != nil:
		return []Finding{c.ok("%s", said)}
	}
	return []Finding{c.ok("%s of the %d that %s may use", said, len(usable), e.process.of())}
}
