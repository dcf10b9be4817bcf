package doctor

import (
	"fmt"
	"path"
	"strconv"

	"github.com/udpshard/udpshard/internal/format"
)

// otherMemory is what the process takes beside its shards.
const otherMemory = 16 << 20

// memory compares what shards, and in version 2 of control groups their
// receive buffers too, take at most with what the process's groups may have.
func (e *examination) memory() []Finding {
	const c check = "memory"
	heap, buffers := e.need()
	most, at, v2, err := e.groupMemory()
	if err != nil {
		return []Finding{c.ok("shards take %s at most; %v", format.Size(heap), err)}
	}
	if at == "" {
		return []Finding{c.ok("shards take %s at most; no control group of %s has a limit", format.Size(heap), e.process.of())}
	}
	need, file := heap, "memory.limit_in_bytes"
	if v2 {
		need, file = heap+buffers, "memory.max"
	}
	said := fmt.Sprintf("%s may have %s; shards take %s at most", path.Base(at), format.Size(most), format.Size(heap))
	if v2 {
		said += fmt.Sprintf(", and full receive buffers %s", format.Size(buffers))
	}
	raised := strconv.FormatUint(2*need, 10)
	lift := raise(at, "MemoryMax="+raised, "--memory "+raised, file, raised)
	switch {
	case heap > most:
		return []Finding{c.warn(lift, "%s: the kernel may kill the process", said)}
	case need > most:
		return []Finding{c.warn(lift, "%s: buffers can't fill, and datagrams are dropped sooner", said)}
	}
	return []Finding{c.ok("%s", said)}
}

// need returns the bytes that shards take at most, and their full receive
// buffers, which are the kernel's.
func (e *examination) need() (heap, buffers uint64) {
	heap = otherMemory
	for _, l := range e.listeners {
		heap += uint64(l.Shards) * uint64(l.ShardMemory)
		buffers += l.queues()
	}
	return heap, buffers
}

// groupMemory returns how much the process's control groups may have, and the
// folder that says so, "" if none does. Version 1 has no limit as a number near
// the highest of an int64.
func (e *examination) groupMemory() (most uint64, at string, v2 bool, err error) {
	if e.groupsErr != nil {
		return 0, "", false, e.groupsErr
	}
	dirs, v2, err := e.groups.dirs("memory")
	file := "memory.limit_in_bytes"
	if v2 {
		file = "memory.max"
	}
	most, at = least(dirs, func(dir string) (uint64, error) {
		limit, err := maxOf(file)(dir)
		if limit >= 1<<62 {
			limit = unlimited
		}
		return limit, err
	})
	return most, at, v2, err
}
