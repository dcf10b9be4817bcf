package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// quota compares shards with the CPU time that control groups grant
// (cpu.max, or cpu.cfs_quota_us of version 1). Who has used it up stands
// still for the rest of a period, 100 ms as a rule.
func (e *examination) quota() []Finding {
	const c check = "cpu quota"
	dirs, v2, err := e.cpuGroups()
	if err != nil {
		return []Finding{c.skip("%v", err)}
	}
	milli, at := least(dirs, quotaOf) // thousandths of a CPU
	if at == "" {
		return []Finding{c.ok("no control group of %s has one", e.process.of())}
	}
	need := shards(e.listeners)
	throttled := grown(e.before.throttled, e.after.throttled)
	said := fmt.Sprintf("%s has %s CPUs for %s", path.Base(at), strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64), format.Plural(need, "shard"))
	file, none := "cpu.cfs_quota_us", "-1"
	if v2 {
		file, none = "cpu.max", "max"
	}
	lift := raise(at, fmt.Sprintf("CPUQuota=%d%%", 100*(need+1)), fmt.Sprintf("--cpus %d", need+1), file, none)
	switch {
	case throttled > 0:
		return []Finding{c.warn(lift, "%s, and was stopped for using them up %s %s: queues fill meanwhile", said, format.Plural(int(throttled), "time"), e.within())}
	case milli < uint64(need)*1000:
		return []Finding{c.warn(lift, "%s: under load they stand still for the rest of each period, and queues fill meanwhile", said)}
	}
	return []Finding{c.ok("%s, stopped for using them up %s since it began", said, format.Plural(int(e.after.throttled), "time"))}
}

func (e *examination) cpuGroups() (dirs []string, v2 bool, err error) {
	if e.groupsErr != nil {
		return nil, false, e.groupsErr
	}
	return e.groups.dirs("cpu")
}

// quotaOf reads a folder's quota in thousandths of a CPU.
func quotaOf(dir string) (uint64, error) {
	content, err := text(dir, "cpu.max")
	if err != nil {
		quota, err := text(dir, "cpu.cfs_quota_us")
		if err != nil {
			return 0, err
		}
		period, err := text(dir, "cpu.cfs_period_us")
		if err != nil {
			return 0, err
		}
		content = quota + " " + period
	}
	var quota, period int64
	if strings.HasPrefix(content, "max") || strings.HasPrefix(content, "-1") {
		return unlimited, nil
	}
	if _, err := fmt.Sscan(content, &quota, &period); err != nil || quota < 0 || period <= 0 {
		return 0, fmt.Errorf("%s: %q is no quota", dir, content)
	}
	return uint64(1000 * quota / period), nil
}

// readThrottled returns how often any of the process's groups was stopped.
func (e *examination) readThrottled() (n uint64) {
	dirs, _, err := e.cpuGroups()
	if err != nil {
		return 0
	}
	for _, dir := range dirs {
		content, _ := text(dir, "cpu.stat")
		for line := range strings.Lines(content) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), "nr_throttled "); found {
				times, _ := strconv.ParseUint(value, 10, 64)
				n += times
			}
		}
	}
	return n
}
