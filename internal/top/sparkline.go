package top

import (
	"math"
	"strings"
	"time"
)

// bars are the heights of a sparkline, for rates above 0.
var bars = []rune("▁▂▃▄▅▆▇█")

// timeScale is the time of the cells of a sparkline.
type timeScale struct {
	cells int
	cell  time.Duration
}

// minSpan is the shortest time that a sparkline shows.
const minSpan = 2 * time.Minute

// newTimeScale returns a scale for a number of cells. A cell is at least as long as the interval between
// two points.
func newTimeScale(cells int, interval time.Duration) timeScale {
	scale := timeScale{cells: cells}
	for _, scale.cell = range []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second,
		20 * time.Second, 30 * time.Second, time.Minute} {
		if scale.cell >= interval && scale.span() >= minSpan {
			break
		}
	}
	return scale
}

// span is the time of all cells.
func (t timeScale) span() time.Duration { return time.Duration(t.cells) * t.cell }

// means returns the sum of the mean rates of shards in each cell. A cell without points is NaN. Cells
// begin at multiples of the cell time, so that a point stays in its cell.
func (t timeScale) means(shards []*shard, now time.Time) []float64 {
	sums := make([]float64, t.cells)
	for i := range sums {
		sums[i] = math.NaN()
	}
	last := now.UnixNano() / int64(t.cell)
	for _, s := range shards {
		for from := 0; from < len(s.recent); {
			cell := s.recent[from].at.UnixNano() / int64(t.cell)
			sum, to := 0.0, from
			for ; to < len(s.recent) && s.recent[to].at.UnixNano()/int64(t.cell) == cell; to++ {
				sum += s.recent[to].perSecond
			}
			if at := t.cells - 1 - int(last-cell); at >= 0 && at < t.cells {
				if math.IsNaN(sums[at]) {
					sums[at] = 0
				}
				sums[at] += sum / float64(to-from)
			}
			from = to
		}
	}
	return sums
}

// sparkline draws rates from 0 to most. A rate of 0 is a dot, and an unknown rate a space.
func sparkline(means []float64, most float64) string {
	var text strings.Builder
	for _, n := range means {
		switch {
		case math.IsNaN(n):
			text.WriteByte(' ')
		case n <= 0:
			text.WriteRune('·')
		default:
			text.WriteRune(bars[min(int(n/most*float64(len(bars))), len(bars)-1)])
		}
	}
	return text.String()
}

// largest returns the largest known rate, or 0.
func largest(means []float64) (most float64) {
	for _, n := range means {
		if n > most {
			most = n
		}
	}
	return most
}

// minCells is the shortest sparkline.
const minCells = 5

// charts are the sparklines of a table.
type charts struct {
	scale timeScale
	means map[string][]float64 // by the ID of the row
	most  map[string]float64   // of the rows below a row, by its ID: their sparklines compare
}

func newCharts(lines []line, scale timeScale, now time.Time) charts {
	c := charts{scale, make(map[string][]float64), make(map[string]float64)}
	for _, l := range lines {
		c.means[l.id] = scale.means(l.shards, now)
		c.most[l.above] = max(c.most[l.above], largest(c.means[l.id]))
	}
	return c
}

// tail returns the state and the sparkline of a line.
func (c charts) tail(l line) string {
	state := l.state
	if state != "" {
		state += " "
	}
	if c.scale.cells-len(state) < minCells {
		return state
	}
	most := largest(c.means[l.id])
	if l.leaf {
		most = c.most[l.above]
	}
	return state + sparkline(c.means[l.id][len(state):], most)
}
