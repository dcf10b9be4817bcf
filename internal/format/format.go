// Package format writes numbers for people, the same in all of udpshard's
// reports.
package format

import (
	"fmt"
	"strconv"
	"strings"
)

// Count writes 1234567 as 1,234,567.
func Count(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// Plural writes a number of things: 1 shard, 2 shards.
func Plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return Count(uint64(n)) + " " + what
}

// Size writes a number of bytes with at most one decimal: 768B, 208KiB, 41.3KiB.
func Size(bytes uint64) string {
	unit, name := 1.0, "B"
	for _, larger := range []string{"KiB", "MiB", "GiB"} {
		if float64(bytes) >= 1024*unit {
			unit, name = 1024*unit, larger
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bytes)/unit), ".0") + name
}
