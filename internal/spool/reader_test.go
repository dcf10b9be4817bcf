package spool

import (
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// The segments of series that take turns stay open. The segments of an earlier epoch are closed:
// their files are removed.
func TestSegmentsStayOpen(t *testing.T) {
	folder := t.TempDir()
	r := newRig(t, Settings{Path: folder}).acquire(t)
	other := &rig{Spool: r.Spool, listener: r.listener, counters: metrics.NewShard(1, 0)}
	other.writer = r.listener.Writer(1, other.counters)
	c := r.consumer(t, "target")
	var first map[*Series]*openSegment
	for range 3 {
		r.write(t, 10)
		other.write(t, 10)
		if n := len(read(t, c)); n != 20 {
			t.Fatalf("%d records, want 20", n)
		}
		if len(c.reader.segments) != 2 {
			t.Fatalf("%d open segments, want 2", len(c.reader.segments))
		}
		for s, open := range c.reader.segments {
			if first[s] != nil && first[s].lines != open.lines {
				t.Errorf("series %s: the segment was opened again", s.Name)
			}
		}
		first = make(map[*Series]*openSegment)
		for s, open := range c.reader.segments {
			copied := *open
			first[s] = &copied
		}
	}
	r.write(t, 5)
	if err := other.writer.Close(); err != nil {
		t.Error(err)
	}
	r.close(t)

	again := newRig(t, Settings{Path: folder}).acquire(t)
	c = again.consumer(t, "target")
	again.next = r.next
	again.write(t, 10)
	wantRecords(t, read(t, c), 30, 15)
	if len(c.reader.segments) != 1 {
		t.Errorf("%d open segments, want that of the new epoch", len(c.reader.segments))
	}
}
