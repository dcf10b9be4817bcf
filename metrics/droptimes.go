package metrics

import (
	"sync/atomic"
	"time"
)

// DropTimes are the times of the last drop for each reason, as read by Shard.Read: as exact as the
// interval between two calls. A time is zero if there was no drop, or if a version before 0.1.0
// counted the drops. The times go on after an upgrade, a takeover by a standby, and a restart for
// which systemd keeps the counters.
type DropTimes struct {
	Kernel      time.Time `json:"kernel,omitzero"`
	NotAllowed  time.Time `json:"not_allowed,omitzero"`
	RateLimited time.Time `json:"rate_limited,omitzero"`
	Malformed   time.Time `json:"malformed,omitzero"`
	Output      time.Time `json:"output,omitzero"`
	Reply       time.Time `json:"reply,omitzero"`
	LostInCrash time.Time `json:"lost_in_crash,omitzero"`
}

// latest sets each time to the later one of t and other.
func (t *DropTimes) latest(other DropTimes) {
	for _, c := range dropReasons {
		if at := *c.last(&other); at.After(*c.last(t)) {
			*c.last(t) = at
		}
	}
}

// dropTimes has the time of the last drop for each reason, in the order of dropReasons, with the
// number of drops that have a time. The size is what the other fields leave of a cache line, so
// lost_in_crash, the last reason, has no number: only an Inheritance counts such drops.
type dropTimes struct {
	last  [reasons]atomic.Int64 // nanoseconds since 1970; 0: none, or not known
	dated [reasons - 1]atomic.Uint64
}

// reasons is the number of drop reasons.
const reasons = 7

// dropReasons are the rows of Table that are drop reasons. Their order is part of the layout of
// Counters.
var dropReasons = func() (rows []*Counter) {
	for i := range Table {
		if Table[i].Drop != NoDrop {
			rows = append(rows, &Table[i])
		}
	}
	return rows
}()

// kernelReason and crashReason are indexes of dropReasons.
const (
	kernelReason = 0
	crashReason  = reasons - 1
)

func (d *dropTimes) read() (t DropTimes) {
	for i, c := range dropReasons {
		if at := d.last[i].Load(); at != 0 {
			*c.last(&t) = time.Unix(0, at).UTC().Truncate(time.Millisecond)
		}
	}
	return t
}

// dateDrops sets now as the time of the last drop for each reason that this process has counted
// drops for since the last call. One goroutine at a time calls dateDrops.
func (c *Counters) dateDrops(now time.Time) {
	for i := range c.drops.dated {
		if n := dropReasons[i].own(c); n > c.drops.dated[i].Load() {
			c.drops.last[i].Store(now.UnixNano())
			c.drops.dated[i].Store(n)
		}
	}
}

// hasUndatedDrops returns whether drops for a reason came after the last call of dateDrops.
func (c *Counters) hasUndatedDrops(reason int) bool {
	return reason < len(c.drops.dated) && dropReasons[reason].own(c) > c.drops.dated[reason].Load()
}

// raise sets the time of the last drop for a reason, if at is later.
func (d *dropTimes) raise(reason int, at int64) {
	for {
		last := d.last[reason].Load()
		if last >= at || d.last[reason].CompareAndSwap(last, at) {
			return
		}
	}
}
