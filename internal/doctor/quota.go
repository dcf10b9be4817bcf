package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// quota compares shards with the CPU time that control groups grant (cpu.max, or cpu.cfs_quota_us
// of version 1). A group that has used its quota does not run for the rest of the period, which
// lasts 100 ms by default.
func (e *examination) quota(r *results) {
	dirs, v2, err := e.groups.dirs("cpu")
	if err != nil {
		r.skip("%v", err)
		return
	}
	milli, at := lowest(dirs, quotaOf)
	if at == "" {
		r.ok("no control group of %s has a quota", e.process)
		return
	}
	need := e.shards()
	group := fmt.Sprintf("%s has %s CPUs for %s", path.Base(at), strconv.FormatFloat(float64(milli)/1000, 'f', -1, 64), format.Plural(need, "shard"))
	file, none := "cpu.cfs_quota_us", "-1"
	if v2 {
		file, none = "cpu.max", "max"
	}
	remedy := raise(at, fmt.Sprintf("CPUQuota=%d%%", 100*(need+1)), fmt.Sprintf("--cpus %d", need+1), file, none)
	switch throttled := growth(e.before.throttled, e.after.throttled); {
	case throttled > 0:
		r.warn(remedy, "%s, and was throttled %s %s: queues fill meanwhile", group, format.Plural(int(throttled), "time"), e.within())
	case milli < uint64(need)*1000:
		r.warn(remedy, "%s: under load the group is throttled for the rest of each period, and queues fill meanwhile", group)
	default:
		r.ok("%s, and was throttled %s since its start", group, format.Plural(int(e.after.throttled), "time"))
	}
}

// quotaOf reads the quota of a folder in thousandths of a CPU.
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

// readThrottled returns how often a control group of the process was throttled.
func (e *examination) readThrottled() (n uint64) {
	dirs, _, _ := e.groups.dirs("cpu")
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
