package loadgen

import (
	"cmp"
	"slices"
)

// FlowReport counts the datagrams of a flow.
type FlowReport struct {
	Flow    int    `json:"flow"`
	Sent    uint64 `json:"sent"`
	Arrived uint64 `json:"arrived"` // each counted once
	Lost    uint64 `json:"lost"`
	Doubled uint64 `json:"doubled"` // arrivals beyond the first
	// Reordered are arrivals with a smaller number than an earlier arrival (RFC 4737, 3.3:
	// type-P-Reordered).
	Reordered uint64 `json:"reordered"`
}

// hasFault reports whether datagrams of the flow were lost, doubled or reordered.
func (r FlowReport) hasFault() bool { return r.Lost+r.Doubled+r.Reordered > 0 }

// Report is the counts of a Checker. Flow of Total is -1.
type Report struct {
	Total   FlowReport   `json:"total"`
	Strange uint64       `json:"strange"`
	Flows   []FlowReport `json:"flows"`
}

// Arrived returns how many datagrams have been found.
func (c *Checker) Arrived() (n uint64) {
	for i := range c.flows {
		n += c.flows[i].FlowReport.Arrived
	}
	return n
}

// Report returns the present counts.
func (c *Checker) Report() Report {
	r := Report{Total: FlowReport{Flow: -1}, Strange: c.Strange, Flows: make([]FlowReport, len(c.flows))}
	for i := range c.flows {
		f := c.flows[i].FlowReport
		f.Lost = f.Sent - f.Arrived
		r.Flows[i] = f
		r.Total.Sent += f.Sent
		r.Total.Arrived += f.Arrived
		r.Total.Lost += f.Lost
		r.Total.Doubled += f.Doubled
		r.Total.Reordered += f.Reordered
	}
	return r
}

// Worst returns at most n flows with faults, the flow with most losses first.
func (r Report) Worst(n int) []FlowReport {
	worst := slices.DeleteFunc(slices.Clone(r.Flows), func(f FlowReport) bool { return !f.hasFault() })
	slices.SortStableFunc(worst, func(a, b FlowReport) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), cmp.Compare(b.Doubled, a.Doubled), cmp.Compare(b.Reordered, a.Reordered))
	})
	return worst[:min(n, len(worst))]
}
