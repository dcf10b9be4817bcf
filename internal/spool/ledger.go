package spool

import (
	"os"
	"time"
)

// reportExpired reports n and all expired records without an event, at once at the end, and at most
// once each reportInterval before.
func (c *Consumer) reportExpired(n uint64, atEnd bool) {
	c.mu.Lock()
	c.unreported += n
	n = c.unreported
	if n == 0 || !atEnd && time.Since(c.reported) < reportInterval {
		c.mu.Unlock()
		return
	}
	c.unreported, c.reported = 0, time.Now()
	c.mu.Unlock()
	c.listener.spool.report(Event{Listener: c.listener.name, Target: c.Target, Expired: n})
}

func (c *Consumer) setOldest(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest = at
}

// Status is the ledger of a target at one moment.
type Status struct {
	Acknowledged, Waiting, Rejected, Expired, Resent uint64
	WaitingBytes                                     int64
	OldestWaiting                                    time.Time // zero: no record waits
	LastRejected, LastExpired                        time.Time // zero: none, or not known
}

// Status returns the ledger. In a process that does not ship, or not yet, the ledger is made of the
// state that the shipping process has saved last, and of the segments that are there.
func (c *Consumer) Status() (s Status) {
	held := c.listener.spool.Held()
	c.mu.Lock()
	ships := held && c.loaded || c.closed
	c.mu.Unlock()
	var list []*Series // complete: read after Reload
	if ships {
		list = c.listener.ordered()
	} else {
		list = c.listener.present() // before the state is read: the state may pass the end of a series
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	is := c.state
	if !ships && !c.closed {
		if saved, err := c.file.readState(); err == nil && saved.Series != nil {
			is = saved
		}
	}
	if !c.closed {
		is.Waiting, is.WaitingBytes = is.countWaiting(list)
	}
	s = Status{Acknowledged: is.Acknowledged, Waiting: is.Waiting, Rejected: is.Rejected,
		Expired: is.Expired, Resent: is.Resent, WaitingBytes: is.WaitingBytes,
		LastRejected: is.LastRejected, LastExpired: is.LastExpired}
	if s.Waiting > 0 {
		if s.OldestWaiting = c.oldest; c.oldest.IsZero() {
			s.OldestWaiting = time.Now()
		}
	}
	return s
}

// countWaiting returns the records and bytes that wait. In a series without position all records
// wait, unless the series was removed meanwhile.
func (s *state) countWaiting(list []*Series) (records uint64, bytes int64) {
	for _, series := range list {
		has := series.extent()
		at, known := s.Series[series.Name]
		if !known {
			if _, err := os.Stat(series.folder); err != nil || len(has.segments) == 0 {
				continue
			}
			at = position{Record: has.segments[0].first, Segment: has.segments[0].first}
		}
		if at.Record >= has.end {
			continue
		}
		records += has.end - at.Record
		i := max(0, has.find(at.Record))
		for j := i; j < len(has.segments); j++ {
			bytes += has.bytes(j)
		}
		if len(has.segments) > 0 && at.Segment == has.segments[i].first {
			bytes -= at.Offset
		}
	}
	return records, bytes
}
