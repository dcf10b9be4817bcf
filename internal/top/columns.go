package top

import (
	"fmt"
	"math"
	"strings"

	"github.com/udpshard/udpshard/internal/format"
)

// column is a column of the table.
type column struct {
	short, long string            // headings on narrow and wide terminals
	width       int               // on narrow terminals; wide ones have at least the width of long
	value       func(row) float64 // nil: the name, in the order of the status
	text        func(r row, wide bool) string
}

// columns are the columns of the table: name, numbers. The state and the sparkline follow.
var columns = []column{
	{"listener", "listener", 10, nil, func(r row, _ bool) string { return r.name }},
	rateColumn("recv/s", "received/s", 6, func(r rates) float64 { return r.received }),
	rateColumn("deliv/s", "delivered/s", 7, func(r rates) float64 { return r.delivered }),
	{"bytes/s", "bytes/s", 7, func(r row) float64 { return r.rates.bytes }, func(r row, _ bool) string {
		return known(r.rates, func() string { return size(r.rates.bytes) })
	}},
	{"lost", "lost", 6, func(r row) float64 { return float64(r.lost) },
		func(r row, wide bool) string { return count(float64(r.lost), wide) }},
	rateColumn("lost/s", "lost/s", 6, func(r rates) float64 { return r.lost }),
	rateColumn("refus/s", "refused/s", 7, func(r rates) float64 { return r.refused }),
	{"queue", "queue", 5, func(r row) float64 { return r.queue },
		func(r row, _ bool) string { return fmt.Sprintf("%.0f%%", r.queue) }},
	{"CPU", "CPU", 4, func(r row) float64 { return r.rates.cpu }, func(r row, _ bool) string {
		return known(r.rates, func() string { return fmt.Sprintf("%.0f%%", r.rates.cpu) })
	}},
}

// size returns the width and the heading of a column.
func (c column) size(wide bool) (width int, heading string) {
	if wide {
		return max(c.width, len(c.long)) + 1, c.long
	}
	return c.width, c.short
}

// rateColumn returns a column of one rate.
func rateColumn(short, long string, width int, rate func(rates) float64) column {
	return column{short, long, width, func(r row) float64 { return rate(r.rates) }, func(r row, wide bool) string {
		return known(r.rates, func() string { return count(rate(r.rates), wide) })
	}}
}

// unknown stands for a number that is not known yet, or not known as the instance does not answer.
const unknown = "-"

func known(r rates, text func() string) string {
	if !r.known {
		return unknown
	}
	return text()
}

// size writes a number of bytes in at most seven columns: 8.2MiB, 41.3KiB, 914KiB.
func size(bytes float64) string {
	text := format.Size(uint64(math.Round(bytes)))
	if whole, unit, found := strings.Cut(text, "."); found && len(whole) > 2 {
		return whole + unit[1:]
	}
	return text
}

// count writes a number in at most six columns: 0.25, 12,345, 123.4k, 12.34M. Wide, only numbers from
// ten million on are shortened.
func count(n float64, wide bool) string {
	limit := 99_999.5
	if wide {
		limit = 9_999_999.5
	}
	switch {
	case n > 0 && n < 9.995 && n != math.Trunc(n):
		return fmt.Sprintf("%.2g", n)
	case n < limit:
		return format.Count(uint64(math.Round(n)))
	}
	for _, unit := range "kMGTP" {
		switch n /= 1000; {
		case n < 99.995:
			return fmt.Sprintf("%.2f%c", n, unit)
		case n < 999.95:
			return fmt.Sprintf("%.1f%c", n, unit)
		}
	}
	return "many"
}
