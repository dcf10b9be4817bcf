package spool

import (
	"fmt"
	"slices"
)

// Waiting calls write with the records that wait for a target: whole lines, valid until write
// returns. The order is that of a process that begins to ship now. The records of target "" are
// those that at least one target has not acknowledged, and all records if there is no target.
// Damage is left out, and is the result; records that are shipped and removed meanwhile are left
// out.
func (v *View) Waiting(
	l *ListenerView, target string, write func(lines []byte) error,
) ([]Damage, error) {
	c := &Consumer{listener: l.listener}
	c.prepare()
	c.state.Series = l.positions(target)
	defer c.reader.close()
	var damage []Damage
	var lines []byte
	for s := c.choose(); s != nil; s = c.choose() {
		c.reader.use(s)
		p, after, err := c.reader.next(c.position(s), maxRecords)
		if err != nil {
			return damage, fmt.Errorf("spool %s: %w", v.Path, err)
		}
		switch {
		case p.damage == nil && len(p.lines) == 0:
			c.state.Series[s.Name] = position{Record: s.extent().end}
			continue
		case p.damage == nil:
		case p.damage.Reason != segmentMissing || v.Shipper == nil:
			damage = append(damage, *p.damage)
		}
		lines = lines[:0]
		for _, line := range p.lines {
			lines = append(append(lines, line...), '\n')
		}
		if err := write(lines); err != nil {
			return damage, err
		}
		c.state.Series[s.Name], c.shard = p.after(after), s.Shard
	}
	return damage, nil
}

// positions returns the position in each series before which every target has acknowledged all
// records. A series of which a target has no position is left out: the target begins with the first
// record.
func (l *ListenerView) positions(target string) map[string]position {
	var earliest map[string]position
	for _, c := range l.readers {
		if target != "" && c.Target != target {
			continue
		}
		if earliest == nil {
			earliest = make(map[string]position)
			for name, at := range c.state.Series {
				earliest[name] = at
			}
			continue
		}
		for name, at := range earliest {
			other, known := c.state.Series[name]
			switch {
			case !known:
				delete(earliest, name)
			case other.Record < at.Record:
				earliest[name] = other
			}
		}
	}
	if earliest == nil {
		earliest = make(map[string]position)
	}
	return earliest
}

// HasTarget reports whether the listener has a target.
func (l *ListenerView) HasTarget(target string) bool {
	return slices.ContainsFunc(l.Targets, func(t TargetView) bool { return t.Target == target })
}
