package main

import (
	"fmt"
	"slices"
)

// spread summarizes repeated measurements.
type spread struct{ median, least, most float64 }

// newSpread needs at least one value.
func newSpread(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	s := spread{median: sorted[middle], least: sorted[0], most: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return s
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.median, s.least, s.most) }

// ratios divides measurements of the same rounds.
func ratios(of, to []float64) spread {
	quotients := make([]float64, len(of))
	for i := range of {
		quotients[i] = of[i] / to[i]
	}
	return newSpread(quotients)
}
