package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// goRuntime checks the environment variables of the Go runtime.
func (e *examination) goRuntime(r *results) {
	var set []string
	for _, name := range []string{"GOMAXPROCS", "GOMEMLIMIT", "GOGC"} {
		value, isSet, err := e.process.environment(name)
		if err != nil {
			r.skip("the environment of %s can't be read: %s", e.process, why(err))
			return
		}
		if !isSet {
			continue
		}
		set = append(set, name+"="+value)
		if n, err := strconv.Atoi(value); name == "GOMAXPROCS" && err == nil && n == 1 && e.shards() > 1 {
			r.warn(e.orRestart("unset GOMAXPROCS", "without GOMAXPROCS"), "GOMAXPROCS=1 leaves one CPU for outputs, HTTP and the garbage collector of %s", format.Plural(e.shards(), "shard"))
		}
		if limit, ok := parseMemoryLimit(value); name == "GOMEMLIMIT" && ok {
			e.goMemoryLimit(r, value, limit)
		}
	}
	switch {
	case len(r.findings) > 0:
	case len(set) == 0:
		r.ok("GOMAXPROCS, GOMEMLIMIT and GOGC are not set")
	default:
		r.ok("%s", strings.Join(set, " "))
	}
}

// goMemoryLimit checks GOMEMLIMIT: a value above the limit of the control group does not keep the
// kernel from killing the process, and a value below what shards need keeps the collector busy.
func (e *examination) goMemoryLimit(r *results, value string, limit uint64) {
	heap, _ := e.maxMemory()
	most, at, _, err := e.memoryLimit()
	switch {
	case limit < heap:
		r.warn(e.orRestart("unset GOMEMLIMIT", "without GOMEMLIMIT"), "GOMEMLIMIT=%s is less than the %s that shards take at most: the garbage collector would not rest", value, format.Size(heap))
	case err == nil && limit > most:
		lower := fmt.Sprintf("GOMEMLIMIT=%d", most/10*9)
		r.warn(e.orRestart("export "+lower, "with "+lower), "GOMEMLIMIT=%s is more than the %s that %s may have", value, format.Size(most), path.Base(at))
	}
}

// parseMemoryLimit parses a number of bytes as the Go runtime does (package runtime, GOMEMLIMIT).
func parseMemoryLimit(value string) (uint64, bool) {
	unit := uint64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, found := strings.CutSuffix(value, suffix); found {
			value, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(value, "B"), 10, 53)
	return n * unit, err == nil
}
