package http

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/ship"
)

// results has the result of each record of a batch: acknowledged, rejected, or not known yet.
type results struct {
	done    []bool   // acknowledged or rejected
	reasons []string // of rejected records; "": not rejected

	accepted bool // a record is acknowledged
	doubtful int  // rejected records, for reasons that may be about each request
}

func (r *results) reset(n int) {
	if cap(r.done) < n {
		r.done, r.reasons = make([]bool, n), make([]string, n)
	}
	r.done, r.reasons = r.done[:n], r.reasons[:n]
	clear(r.done)
	clear(r.reasons)
	r.accepted, r.doubtful = false, 0
}

// acknowledge notes the records part as acknowledged.
func (r *results) acknowledge(part []int) {
	for _, i := range part {
		r.done[i], r.reasons[i] = true, ""
	}
	r.accepted = r.accepted || len(part) > 0
}

// reject notes the records part as rejected.
func (r *results) reject(part []int, reason string) {
	for _, i := range part {
		r.done[i], r.reasons[i] = true, reason
	}
}

// partial notes the records of an accepted request of which the server has refused a number, and
// does not say which: all are rejected, so that none is called acknowledged that may not be stored,
// and none is stored twice.
func (r *results) partial(part []int, refused int, answer, message string) {
	if refused <= 0 {
		r.acknowledge(part)
		return
	}
	r.reject(part, fmt.Sprintf("%s: %d of %d records rejected: %s", answer, refused, len(part),
		quote(message)))
	if refused == len(part) {
		r.doubtful += refused
	}
}

// outcome returns the result of Send: nil, or an *ship.Error. err is nil if all records are done.
func (r *results) outcome(err error) error {
	e := *shipError(err)
	e.Err = err
	for e.Acknowledged < len(r.done) && r.done[e.Acknowledged] {
		if reason := r.reasons[e.Acknowledged]; reason != "" {
			e.Rejected = append(e.Rejected, ship.Rejection{Index: e.Acknowledged, Reason: reason})
		}
		e.Acknowledged++
	}
	if err == nil && len(e.Rejected) == 0 {
		return nil
	}
	return &e
}
