package spool

import (
	"time"
)

// Batch is consecutive lines of one series, for one call of Send.
type Batch struct {
	Series   string
	Shard    int
	First    uint64   // number of the first record
	Lines    [][]byte // without newlines; valid until the next call of Next
	Written  time.Time
	InDoubt  bool // a process began to send the batch, and ended before the acknowledgement
	segment  uint64
	offset   int64
	inSeries *Series
}

// Next returns the next batch, and saves that the batch is being sent; nil if no record waits.
// Earlier epochs come first; the series of an epoch take turns.
func (c *Consumer) Next() (*Batch, error) {
	c.listener.refreshIfDue()
	if b, err := c.nextInDoubt(); b != nil || err != nil {
		return b, err
	}
	for {
		s := c.choose()
		if s == nil {
			c.setOldest(time.Time{})
			return nil, nil
		}
		b, err := c.read(s, maxRecords)
		if b != nil || err != nil {
			return b, err
		}
	}
}

// nextInDoubt returns the batch that a process was sending when it ended, if there is one.
func (c *Consumer) nextInDoubt() (*Batch, error) {
	c.mu.Lock()
	is := c.state.Sending
	c.mu.Unlock()
	if is == nil || c.batch != nil {
		return nil, nil
	}
	c.listener.mu.Lock()
	s := c.listener.series[is.Series]
	c.listener.mu.Unlock()
	if s == nil || c.position(s).Record != is.First {
		return nil, nil
	}
	b, err := c.read(s, is.Count)
	if b != nil {
		b.InDoubt = len(b.Lines) == is.Count
	}
	return b, err
}

// choose returns the series of the next batch; nil: nothing waits.
func (c *Consumer) choose() *Series {
	var first *Series
	for _, s := range c.listener.ordered() {
		if first != nil && s.epoch != first.epoch {
			break
		}
		if c.passed(s) >= s.extent().end {
			continue
		}
		if s.Shard > c.shard {
			return s
		}
		if first == nil {
			first = s
		}
	}
	return first
}

// read returns lines of a series. Damage is counted and skipped: then the result is nil.
func (c *Consumer) read(s *Series, most int) (*Batch, error) {
	at := c.position(s)
	c.reader.use(s)
	p, after, err := c.reader.next(at, most)
	switch {
	case err != nil:
		return nil, err
	case p.damage != nil:
		c.skip(s, after, p.damage)
		return nil, nil
	case len(p.lines) == 0:
		return nil, nil
	}
	b := &Batch{Series: s.Name, Shard: s.Shard, First: p.at.Record, Lines: p.lines, Written: p.began,
		segment: p.at.Segment, offset: p.at.Offset, inSeries: s}
	if b.Written.IsZero() {
		b.Written = time.Now()
	}
	c.batch, c.shard = b, s.Shard
	c.setOldest(b.Written)
	return b, c.begin(b)
}

// begin saves that a batch is being sent.
func (c *Consumer) begin(b *Batch) error {
	list := c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Sending = &sending{b.Series, b.First, len(b.Lines)}
	return c.save(list)
}

// Result is what became of the first records of a batch.
type Result struct {
	Acknowledged int // number of first records that are acknowledged or rejected
	Rejected     int // of Acknowledged
	Resent       int // acknowledged records that were sent again: ship.Batch.Resent
	Note         string
}

// Done counts the first records of the batch that Next has returned, and moves the position behind
// these records. Rest returns the other records.
func (c *Consumer) Done(r Result) error {
	b := c.batch
	after := position{b.First + uint64(r.Acknowledged), b.segment, b.offset}
	for _, line := range b.Lines[:r.Acknowledged] {
		after.Offset += int64(len(line)) + 1
	}
	list := c.listener.ordered()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saved = false
	c.state.Resent += uint64(r.Resent)
	c.state.Note = r.Note
	at := c.state.Series[b.Series]
	if at.Record > b.First { // expired meanwhile
		expired := int(min(at.Record-b.First, uint64(r.Acknowledged)))
		r.Rejected = min(r.Rejected, r.Acknowledged-expired)
		r.Acknowledged -= expired
	}
	c.state.Acknowledged += uint64(r.Acknowledged - r.Rejected)
	if c.state.Rejected += uint64(r.Rejected); r.Rejected > 0 {
		c.state.LastRejected = time.Now()
	}
	if after.Record > at.Record {
		c.state.Series[b.Series] = after
	}
	c.state.Sending = nil
	b.Lines, b.First, b.offset = b.Lines[after.Record-b.First:], after.Record, after.Offset
	if len(b.Lines) == 0 {
		c.batch = nil
	} else {
		c.state.Sending = &sending{b.Series, b.First, len(b.Lines)}
	}
	return c.save(list) // before Status shows the counts: they never go back
}

// Rest returns the records of the batch that are not done yet; nil: all are done.
func (c *Consumer) Rest() *Batch { return c.batch }
