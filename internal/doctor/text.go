package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// within writes how long was looked.
func within(d time.Duration) string {
	if d >= time.Second {
		d = d.Round(time.Second / 10)
	} else {
		d = d.Round(time.Millisecond)
	}
	return "in " + d.String()
}

// mask writes CPUs as the kernel's masks are written: 32 bits in hexadecimal
// to a group, the highest first, with commas between them
// (bitmap_print_to_pagebuf).
func mask(cpus []int) string {
	var groups []uint32
	for _, cpu := range cpus {
		for len(groups) <= cpu/32 {
			groups = append(groups, 0)
		}
		groups[cpu/32] |= 1 << (cpu % 32)
	}
	if len(groups) == 0 {
		return "0"
	}
	slices.Reverse(groups)
	text := strconv.FormatUint(uint64(groups[0]), 16)
	for _, g := range groups[1:] {
		text += fmt.Sprintf(",%08x", g)
	}
	return text
}

// rare is the share of losses since boot below which they are history: one
// datagram in a million.
const rare = 1_000_000

// grown returns by how much a counter has grown: nothing, if it began anew.
func grown(before, after uint64) uint64 {
	if after < before {
		return 0
	}
	return after - before
}
