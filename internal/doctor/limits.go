package doctor

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

const (
	otherFiles   = 16 // beside those of shards: standard files, epoll, HTTP and some connections
	otherThreads = 16 // beside shards: the runtime's threads, outputs, and threads in system calls
)

// files compares the files that serve opens with RLIMIT_NOFILE. The hard limit counts: the Go
// runtime raises the soft limit to the hard limit (package os, Go 1.19).
func (e *examination) files(r *results) {
	need := uint64(otherFiles)
	for _, l := range e.listeners {
		need += uint64(l.Shards * l.ShardFiles)
	}
	limit, err := e.process.limit("Max open files")
	may := fmt.Sprintf("%s may open %s", e.process, format.Count(limit.hard))
	shards := format.Plural(e.shards(), "shard")
	switch {
	case err != nil:
		r.skip("%s", why(err))
	case limit.hard < need && e.process.running: // the sockets are open already
		r.warn(fmt.Sprintf("prlimit --pid %d --nofile=%d:%d", e.process.PID, 2*need, 2*need),
			"%s, and %s may come to need %s (RLIMIT_NOFILE; LimitNOFILE= of a unit)", may, shards, format.Count(need))
	case limit.hard < need:
		r.fail(fmt.Sprintf("ulimit -n %d", 2*need), "%s, and %s need %s (RLIMIT_NOFILE; LimitNOFILE= of a unit)", may, shards, format.Count(need))
	case limit.hard == unlimited:
		r.ok("%s may open any number, %s are needed", e.process, format.Count(need))
	default:
		r.ok("%s, %s are needed", may, format.Count(need))
	}
}

// threads compares one thread for each shard with the limits of the host, of the user and of
// control groups. A running instance has the threads of its shards.
func (e *examination) threads(r *results) {
	all := uint64(e.shards() + otherThreads)
	need := all
	if e.process.running {
		need = otherThreads / 2
	}
	dirs, _, _ := e.groups.dirs("pids")
	for _, dir := range dirs {
		most, err := maxOf("pids.max")(dir)
		used, _ := number(dir, "pids.current")
		if err == nil && most != unlimited && used+need > most {
			r.fail(raise(dir, fmt.Sprintf("TasksMax=%d", 2*(used+need)), fmt.Sprintf("--pids-limit %d", 2*(used+need)), "pids.max", "max"),
				"%s has %s of %s threads, and %s more are needed (pids.max)", dir, format.Count(used), format.Count(most), format.Count(need))
			return
		}
	}
	said := fmt.Sprintf("%s are needed", format.Count(all))
	if most, err := number(e.Proc, "sys/kernel/threads-max"); err == nil {
		used := e.hostThreads()
		host := fmt.Sprintf("the host has %s of %s", format.Count(used), format.Count(most))
		if used+need > most {
			r.fail(fmt.Sprintf("sysctl -w kernel.threads-max=%d", 2*(used+need)), "%s threads, and %s more are needed", host, format.Count(need))
			return
		}
		said += ", " + host
	}
	limit, err := e.process.limit("Max processes")
	if err == nil && limit.soft < need && !e.process.running {
		r.warn(fmt.Sprintf("ulimit -u %d", 4*need), "the user may have %s, and %s are needed (RLIMIT_NPROC, from which root is exempt)", format.Count(limit.soft), format.Count(need))
		return
	}
	r.ok("%s", said)
}

// hostThreads returns the number of threads that this PID namespace shows (loadavg's fourth field,
// proc_loadavg(5)).
func (e *examination) hostThreads() (n uint64) {
	content, _ := text(e.Proc, "loadavg")
	if fields := strings.Fields(content); len(fields) > 3 {
		fmt.Sscanf(fields[3], "%d/%d", new(uint64), &n)
	}
	return n
}
