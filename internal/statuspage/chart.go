package statuspage

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/history"
)

// historySeconds is the width of a chart: the time that the history covers.
const historySeconds = 600

// chartHeight is the height of a chart in units of its paths.
const chartHeight = 100

// chart is the last ten minutes of a listener, as paths of an SVG image of historySeconds by
// chartHeight units. The newest step is at the right.
type chart struct {
	Area    string // datagrams received per second, down to the base
	Line    string // datagrams delivered per second
	Losses  string // a line for each step with losses
	Peak    string // the rate at the top of the chart
	Covered string // how much of the ten minutes the history has; "": all
	Lost    string // what was lost, in words
	Label   string // for screen readers
}

// newChart draws a series with steps of some seconds. The chart of an empty series has no paths.
func newChart(s history.Series, step int) chart {
	c := chart{Lost: "no loss"}
	if len(s.Received) == 0 {
		c.Covered, c.Label = "collecting", "Chart: the history is empty."
		return c
	}
	peak := max(slices.Max(s.Received), slices.Max(s.Delivered))
	x := func(i int) int { return historySeconds - (len(s.Received)-1-i)*step }
	first := max(0, x(0))
	line := func(values []uint64) []byte {
		text := make([]byte, 0, 8*len(values))
		for i, v := range values {
			text = strconv.AppendInt(text, int64(max(0, x(i))), 10)
			text = append(text, ' ')
			text = strconv.AppendUint(text, chartHeight-v*chartHeight/max(1, peak), 10)
			text = append(text, ' ')
		}
		return text
	}
	c.Area = fmt.Sprintf("M%d %d %sV%d", first, chartHeight, line(s.Received), chartHeight)
	c.Line = "M" + string(line(s.Delivered))
	lost, steps := uint64(0), 0
	var marks []byte
	for i, n := range s.Lost {
		if n > 0 {
			lost, steps = lost+n, steps+1
			marks = fmt.Appendf(marks, "M%d 0V%d", max(0, x(i)), chartHeight)
		}
	}
	c.Losses = string(marks)
	if lost > 0 {
		c.Lost = fmt.Sprintf("%s lost, in %s", format.Count(lost), format.Plural(steps*step, "second"))
	}
	c.Peak = format.Count(peak) + "/s"
	if covered := len(s.Received) * step; covered < historySeconds {
		c.Covered = "collecting: " + format.Plural(covered, "second") + " so far"
	}
	c.Label = fmt.Sprintf("Chart of the last ten minutes: at most %s received or delivered; %s.", c.Peak, c.Lost)
	return c
}

// mean returns the mean of the newest values of a list: those of some seconds.
func mean(list []uint64, seconds, step int) uint64 {
	newest := list[max(0, len(list)-max(1, seconds/max(1, step))):]
	if len(newest) == 0 {
		return 0
	}
	return (sum(newest) + uint64(len(newest))/2) / uint64(len(newest))
}

func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}
