package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

const (
	otherFiles   = 16 // beside those of shards: standard ones, epoll, HTTP and a few who ask
	otherThreads = 16 // beside shards: the runtime's own, outputs, and who is in a system call
)

// files compares the files that serve opens with RLIMIT_NOFILE. The hard
// limit counts: the Go runtime raises the soft one to it (package os, 1.19).
func (e *examination) files() []Finding {
	const c check = "open files"
	need := uint64(otherFiles)
	for _, l := range e.listeners {
		need += uint64(l.Shards * l.ShardFiles)
	}
	limit, err := e.process.limit("Max open files")
	switch {
	case err != nil:
		return []Finding{c.skip("%s", why(err))}
	case limit.hard < need && e.process.running: // its sockets are open as it is
		return []Finding{c.warn(fmt.Sprintf("prlimit --pid %d --nofile=%d:%d", e.process.PID, 2*need, 2*need), "%s may open %s, and %s may come to need %s (RLIMIT_NOFILE; LimitNOFILE= of a unit)",
			e.process.of(), format.Count(limit.hard), format.Plural(shards(e.listeners), "shard"), format.Count(need))}
	case limit.hard < need:
		return []Finding{c.fail(fmt.Sprintf("ulimit -n %d", 2*need), "%s may open %s, and %s need %s (RLIMIT_NOFILE; LimitNOFILE= of a unit)",
			e.process.of(), format.Count(limit.hard), format.Plural(shards(e.listeners), "shard"), format.Count(need))}
	}
	return []Finding{c.ok("%s may open %s, %s are needed", e.process.of(), amount(limit.hard), format.Count(need))}
}

// threads compares a thread to each shard with what the host, the user and
// the control group may have. A running instance has its threads.
func (e *examination) threads() []Finding {
	const c check = "threads"
	shards := uint64(shards(e.listeners))
	need := shards + otherThreads
	if e.process.running {
		need = otherThreads / 2
	}
	if dirs, _, err := e.pidGroups(); err == nil {
		for _, dir := range dirs {
			most, err := maxOf("pids.max")(dir)
			if err != nil || most == unlimited {
				continue
			}
			used, _ := number(dir, "pids.current")
			if used+need > most {
				return []Finding{c.fail(raise(dir, fmt.Sprintf("TasksMax=%d", 2*(used+need)), fmt.Sprintf("--pids-limit %d", 2*(used+need)), "pids.max", "max"),
					"%s has %s of %s threads, and %s more are needed (pids.max)", dir, format.Count(used), format.Count(most), format.Count(need))}
			}
		}
	}
	said := fmt.Sprintf("%s are needed", format.Count(shards+otherThreads))
	if most, err := number(e.Proc, "sys/kernel/threads-max"); err == nil {
		used := e.hostThreads()
		if used+need > most {
			return []Finding{c.fail(fmt.Sprintf("sysctl -w kernel.threads-max=%d", 2*(used+need)), "the host has %s of %s threads, and %s more are needed", format.Count(used), format.Count(most), format.Count(need))}
		}
		said += fmt.Sprintf(", the host has %s of %s", format.Count(used), format.Count(most))
	}
	limit, err := e.process.limit("Max processes")
	if err == nil && limit.soft < need && !e.process.running {
		return []Finding{c.warn(fmt.Sprintf("ulimit -u %d", 4*need), "the user may have %s, and %s are needed (RLIMIT_NPROC, which does not bind root)", format.Count(limit.soft), format.Count(need))}
	}
	return []Finding{c.ok("%s", said)}
}

func (e *examination) pidGroups() (dirs []string, v2 bool, err error) {
	if e.groupsErr != nil {
		return nil, false, e.groupsErr
	}
	return e.groups.dirs("pids")
}

// hostThreads returns how many there are, as far as this PID namespace shows
// (loadavg's fourth field, proc_loadavg(5)).
func (e *examination) hostThreads() (n uint64) {
	content, _ := text(e.Proc, "loadavg")
	if fields := strings.Fields(content); len(fields) > 3 {
		fmt.Sscanf(fields[3], "%d/%d", new(uint64), &n)
	}
	return n
}

func amount(n uint64) string {
	if n == unlimited {
		return "any number"
	}
	return format.Count(n)
}
