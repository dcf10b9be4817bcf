package http

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/ship"
)

// A new target that refuses each record is more likely a mistake in the URL or in the options: a
// server with TLS at the port of an http:// URL answers 400 to anything, a ClickHouse does so to a
// query with a mistake, and a data stream of Elasticsearch refuses each record without @timestamp.
// So no record is rejected before the target has accepted one. The spool keeps
// ship.Batch.Note, which says so, across restarts. Another URL is another target.

// noteProven is the Note of batches since the target has accepted a record.
const noteProven = "accepted"

const (
	// maxDoubt is how many records a new target may refuse before Send ends: each costs a request.
	maxDoubt = 32
	// maxUnproven is how many batches a new target may refuse before a record is rejected all the
	// same, so that a first record that is bad does not stop the target for ever: 30 batches with
	// the pause after a permanent error, 10 s, take five minutes.
	maxUnproven = 30
)

// checkDoubt returns an error if a new target has refused maxDoubt records, and accepted none.
func (t *target) checkDoubt(b *ship.Batch, reason string) error {
	t.results.doubtful++
	if b.Note == noteProven || t.results.accepted || t.results.doubtful < maxDoubt {
		return nil
	}
	return unprovenError(reason)
}

func unprovenError(reason string) error {
	return ship.Permanent(fmt.Errorf("no record was accepted since the target is new: %s", reason))
}

// prove returns the result of deliver, changed for a target that has accepted no record so far: its
// rejections do not count, but for the first record after maxUnproven batches.
func (t *target) prove(b *ship.Batch, err error) error {
	r := &t.results
	switch {
	case r.accepted:
		b.Note, t.unproven = noteProven, 0
		return err
	case b.Note == noteProven || r.doubtful == 0:
		return err
	}
	first := ""
	for _, reason := range r.reasons {
		if first = reason; first != "" {
			break
		}
	}
	t.unproven++
	kept := 0
	if t.unproven > maxUnproven {
		t.unproven, kept = 0, 1
	}
	clear(r.done[kept:])
	clear(r.reasons[kept:])
	if err == nil {
		err = unprovenError(first)
	}
	return err
}
