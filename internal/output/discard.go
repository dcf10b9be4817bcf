package output

import "github.com/udpshard/udpshard/metrics"

// discard is a packet.Sink that counts records as delivered, and writes them nowhere.
type discard struct {
	counters *metrics.Shard
	buf      []byte
	records  int
}

func newDiscard(counters *metrics.Shard, maxRecord int) *discard {
	return &discard{counters: counters, buf: make([]byte, 0, flushSize+maxRecord)}
}

func (d *discard) Buffer() []byte { return d.buf }

func (d *discard) Commit(buf []byte) {
	d.buf = buf
	d.records++
	if len(buf) >= flushSize {
		d.Flush()
	}
}

func (d *discard) Flush() {
	d.counters.Delivered.Add(uint64(d.records))
	d.buf, d.records = d.buf[:0], 0
}
