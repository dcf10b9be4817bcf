package doctor

import (
	"cmp"
	"slices"
)

// rare is one datagram in a million: losses since boot below that share are not reported.
const rare = 1_000_000

// growth returns by how much a counter has grown, and 0 for a counter that began anew.
func growth(before, after uint64) uint64 { return after - min(before, after) }

// unique returns the values in order, each once.
func unique[T cmp.Ordered](values []T) []T {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}
