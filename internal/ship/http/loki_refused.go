package http

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// Loki answers 400 to a request with lines that are too old, too new, too long or out of order, and
// stores the other lines. The answer names some of the refused lines at most: see
// https://grafana.com/docs/loki/latest/operations/request-validation-rate-limits/.
var (
	// oldestTime is the oldest time that Loki accepts: in the whole tenant ("has timestamp too
	// old"), or in the stream of a line ("entry too far behind").
	oldestTime = regexp.MustCompile(`oldest acceptable timestamp is: ([0-9T:.Z+-]+)`)
	// ignored finds two numbers: the refused lines of a stream, and all lines of the stream.
	ignored = regexp.MustCompile(`total ignored: ([0-9]+) out of ([0-9]+)`)
)

// refused divides the records so that few requests find the refused ones: records that are older
// than Loki accepts stand apart, and then each stream. A request whose lines are all refused is not
// divided.
func (l *loki) refused(text, reason string, b *ship.Batch, part []int) error {
	refused := &refusal{reason: reason}
	if counts := ignored.FindStringSubmatch(text); counts != nil && counts[1] == counts[2] &&
		counts[1] == strconv.Itoa(len(part)) {
		refused.all = true
		return refused
	}
	if found := oldestTime.FindStringSubmatch(text); found != nil {
		if oldest := parseTime([]byte(found[1])); !oldest.IsZero() {
			var fresh, old []int
			for _, i := range part {
				l.fields.read(b, i)
				if l.clock.time(&l.fields, b).Before(oldest) {
					old = append(old, i)
				} else {
					fresh = append(fresh, i)
				}
			}
			if len(fresh) > 0 && len(old) > 0 {
				refused.parts = [][]int{fresh, old}
				return refused
			}
			if len(fresh) == 0 && strings.Contains(text, "has timestamp too old") {
				refused.all = true
				return refused
			}
		}
	}
	if l.group(b, part); len(l.order) > 1 {
		for _, s := range l.order {
			refused.parts = append(refused.parts, append([]int(nil), s.records...))
		}
	}
	return refused
}
