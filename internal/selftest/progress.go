package selftest

import (
	"fmt"
	"io"
	"time"

	"github.com/udpshard/udpshard/internal/format"
)

// progress prints the trials; on a terminal, in a line that is overwritten.
type progress struct {
	w    io.Writer
	live bool
	n    int
	what string // the present trial
}

func rateName(rate float64) string {
	if rate == 0 {
		return "flat out"
	}
	return format.Count(uint64(rate+0.5)) + "/s"
}

func (p *progress) begin(rate float64, bounds string, length time.Duration) {
	p.n++
	p.what = fmt.Sprintf("trial %d: %s%s", p.n, rateName(rate), bounds)
	if p.live {
		fmt.Fprintf(p.w, "\r\x1b[K%s for %s …", p.what, length.Round(time.Millisecond))
	}
}

func (p *progress) end(t trial) {
	t.judge()
	line := fmt.Sprintf("%s: %s/s, %s lost, busiest CPU %.0f%%: %s", p.what, format.Count(roundRate(t.Rate)),
		format.Count(t.Sent-min(t.Sent, t.Received)), 100*t.busiest().Busy, t.Verdict)
	if t.isShort() {
		line += "; the sender was slower than asked"
	}
	if p.live {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
	} else {
		fmt.Fprintln(p.w, line)
	}
}

func (p *progress) clear() {
	if p.live {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
