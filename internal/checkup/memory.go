package checkup

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// otherMemory is what the process takes beside its shards.
const otherMemory = 16 << 20

// memory compares what shards, and in version 2 of control groups their
// receive buffers too, take at most with what the process's groups may have.
func (e *examination) memory() []Finding {
	const c check = "memory"
	heap, buffers := e.need()
	dirs, v2, err := e.memoryGroups()
	if err != nil {
		return []Finding{c.ok("shards take %s at most; %v", size(heap), err)}
	}
	file := "memory.limit_in_bytes"
	if v2 {
		file = "memory.max"
	}
	most, at := least(dirs, memoryLimit(file))
	if at == "" {
		return []Finding{c.ok("shards take %s at most; no control group of %s has a limit", size(heap), e.process.of())}
	}
	need := heap
	if v2 {
		need += buffers
	}
	said := fmt.Sprintf("%s may have %s; shards take %s at most", path.Base(at), size(most), size(heap))
	if v2 {
		said += fmt.Sprintf(", and full receive buffers %s", size(buffers))
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
		buffers += 2 * uint64(l.Shards) * uint64(min(l.ReceiveBuffer, mostBuffer))
	}
	return heap, buffers
}

func (e *examination) memoryGroups() (dirs []string, v2 bool, err error) {
	if e.groupsErr != nil {
		return nil, false, e.groupsErr
	}
	return e.groups.dirs("memory")
}

// memoryLimit reads a limit. Version 1 has none as a number near the highest
// of an int64.
func memoryLimit(file string) func(dir string) (uint64, error) {
	return func(dir string) (uint64, error) {
		limit, err := maxOf(file)(dir)
		if limit >= 1<<62 {
			limit = unlimited
		}
		return limit, err
	}
}

// goRuntime judges what the environment tells the Go runtime.
func (e *examination) goRuntime() []Finding {
	const c check = "go runtime"
	var said []string
	for _, name := range []string{"GOMAXPROCS", "GOMEMLIMIT", "GOGC"} {
		value, set, err := e.process.environment(name)
		if err != nil {
			return []Finding{c.skip("the environment of %s is not to be read: %s", e.process.of(), why(err))}
		}
		if !set {
			continue
		}
		said = append(said, name+"="+value)
		switch name {
		case "GOMAXPROCS":
			if n, err := strconv.Atoi(value); err == nil && n == 1 && shards(e.listeners) > 1 {
				return []Finding{c.warn("unset GOMAXPROCS", "GOMAXPROCS=1 leaves outputs, HTTP and the collector one CPU for %s", plural(shards(e.listeners), "shard"))}
			}
		case "GOMEMLIMIT":
			if f, bad := e.memoryLimit(c, value); bad {
				return []Finding{f}
			}
		}
	}
	if len(said) == 0 {
		return []Finding{c.ok("neither GOMAXPROCS, GOMEMLIMIT nor GOGC is set")}
	}
	return []Finding{c.ok("%s", strings.Join(said, " "))}
}

// memoryLimit judges GOMEMLIMIT: above the control group's limit it keeps
// nobody from being killed, and below what is needed the collector never
// rests.
func (e *examination) memoryLimit(c check, value string) (f Finding, bad bool) {
	limit, ok := parseMemory(value)
	if !ok {
		return f, false
	}
	heap, _ := e.need()
	if limit < heap {
		return c.warn("unset GOMEMLIMIT", "GOMEMLIMIT=%s is less than the %s that shards take at most: the collector would not rest", value, size(heap)), true
	}
	dirs, v2, err := e.memoryGroups()
	if err != nil {
		return f, false
	}
	file := "memory.limit_in_bytes"
	if v2 {
		file = "memory.max"
	}
	if most, at := least(dirs, memoryLimit(file)); limit > most {
		return c.warn(fmt.Sprintf("export GOMEMLIMIT=%d", most/10*9), "GOMEMLIMIT=%s is more than the %s that %s may have", value, size(most), path.Base(at)), true
	}
	return f, false
}

// parseMemory reads a number of bytes as the runtime does (package runtime,
// GOMEMLIMIT).
func parseMemory(value string) (uint64, bool) {
	unit := uint64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, found := strings.CutSuffix(value, suffix); found {
			value, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(value, "B"), 10, 53)
	return n * unit, err == nil
}
