// Package format writes numbers for people, the same in all of udpshard's
// reports.
package format

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if float64(bytes) >= 1024*unit {
			unit, name = 1024*unit, larger
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bytes)/unit), ".0") + name
}

// Ago writes the time from t to now: 119 s ago, 2 min ago, 119 min ago, 2 h ago, 47 h ago. From two
// days on, it writes t in the location of now, as Minute does. A time after now is 0 s ago.
func Ago(t, now time.Time) string {
	d := max(0, now.Sub(t))
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return "on " + Minute(t.In(now.Location()))
}

// Minute writes a time to the minute, in its own location: 2026-11-29 01:12.
func Minute(t time.Time) string { return t.Format(MinuteLayout) }

// MinuteLayout is the layout of Minute (time.Layout).
const MinuteLayout = "2006-01-02 15:04"
