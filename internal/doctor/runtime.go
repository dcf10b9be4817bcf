package doctor

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// goRuntime judges what the environment tells the Go runtime.
func (e *examination) goRuntime() []Finding {
	const c check = "go runtime"
	var findings []Finding
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
				findings = append(findings, c.warn(e.orRestart("unset GOMAXPROCS", "without GOMAXPROCS"), "GOMAXPROCS=1 leaves outputs, HTTP and the collector one CPU for %s", format.Plural(shards(e.listeners), "shard")))
			}
		case "GOMEMLIMIT":
			if f, bad := e.memoryLimit(c, value); bad {
				findings = append(findings, f)
			}
		}
	}
	switch {
	case len(findings) > 0:
		return findings
	case len(said) == 0:
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
		return c.warn(e.orRestart("unset GOMEMLIMIT", "without GOMEMLIMIT"), "GOMEMLIMIT=%s is less than the %s that shards take at most: the collector would not rest", value, format.Size(heap)), true
	}
	if most, at, _, err := e.groupMemory(); err == nil && limit > most {
		set := fmt.Sprintf("GOMEMLIMIT=%d", most/10*9)
		return c.warn(e.orRestart("export "+set, "with "+set), "GOMEMLIMIT=%s is more than the %s that %s may have", value, format.Size(most), path.Base(at)), true
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
