package doctor

import (
	"fmt"
	"path"
	"strconv"

	"github.com/udpshard/udpshard/internal/format"
)

// otherMemory is the memory that the process needs beside its shards.
const otherMemory = 16 << 20

// memory compares the memory limit of the process's control groups with what shards need at most.
// Version 2 counts full receive buffers too.
func (e *examination) memory(r *results) {
	heap, buffers := e.maxMemory()
	most, at, v2, err := e.memoryLimit()
	switch {
	case err != nil:
		r.ok("shards take %s at most; %v", format.Size(heap), err)
		return
	case at == "":
		r.ok("shards take %s at most; no control group of %s has a limit", format.Size(heap), e.process)
		return
	}
	need, file := heap, "memory.limit_in_bytes"
	said := fmt.Sprintf("%s may have %s; shards take %s at most", path.Base(at), format.Size(most), format.Size(heap))
	if v2 {
		need, file = heap+buffers, "memory.max"
		said += fmt.Sprintf(", and full receive buffers %s", format.Size(buffers))
	}
	value := strconv.FormatUint(2*need, 10)
	remedy := raise(at, "MemoryMax="+value, "--memory "+value, file, value)
	switch {
	case heap > most:
		r.warn(remedy, "%s: the kernel may kill the process", said)
	case need > most:
		r.warn(remedy, "%s: receive buffers can't fill, and datagrams are dropped sooner", said)
	default:
		r.ok("%s", said)
	}
}

// maxMemory returns the bytes that shards take at most, and those of their full receive buffers,
// which are the kernel's.
func (e *examination) maxMemory() (heap, buffers uint64) {
	heap = otherMemory
	for _, l := range e.listeners {
		heap += uint64(l.Shards) * uint64(l.ShardMemory)
		buffers += l.maxQueueBytes()
	}
	return heap, buffers
}

// memoryLimit returns the memory limit of the process's control groups and the folder of the
// limit, "" for no limit. In version 1, "no limit" is a number near the highest int64.
func (e *examination) memoryLimit() (most uint64, at string, v2 bool, err error) {
	dirs, v2, err := e.groups.dirs("memory")
	file := "memory.limit_in_bytes"
	if v2 {
		file = "memory.max"
	}
	most, at = lowest(dirs, func(dir string) (uint64, error) {
		limit, err := maxOf(file)(dir)
		if limit >= 1<<62 {
			limit = unlimited
		}
		return limit, err
	})
	return most, at, v2, err
}
