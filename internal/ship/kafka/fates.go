package kafka

import (
	"slices"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// fate is the known result of a record.
type fate uint8

const (
	unsent fate = iota // or sent, with an unknown result
	stored
	rejected
)

// fates are those of the records of a batch. They outlive Send: the same records may come again in
// batches that begin or end elsewhere.
type fates struct {
	series  string // all of a RecordID but the number: ends in -
	first   uint64 // number of the first record in the series
	fates   []fate
	reasons map[uint64]string // of rejected records, by number
	unsure  bool              // unsent records may be stored
	next    offsets           // after the messages that are acknowledged
}

// idPrefix returns all of a RecordID but the number.
func idPrefix(b *ship.Batch) string {
	id := b.RecordID(0)
	return id[:strings.LastIndexByte(id, '-')+1]
}

// follow returns the fates of the records of a batch, and whether nothing was known of any of them.
func (t *target) follow(b *ship.Batch) (f *fates, isNew bool) {
	if t.firstNote == nil {
		note := strings.Clone(b.Note)
		t.firstNote = &note
	}
	series, old := idPrefix(b), t.batch
	if old != nil && old.series == series && b.First >= old.first &&
		b.First+uint64(len(b.Records)) <= old.end() {
		return old, false
	}
	if t.flight != nil {
		t.disconnect() // nothing is sent of a batch that does not come again
	}
	f, isNew = &fates{series: series, first: b.First, fates: make([]fate, len(b.Records))}, true
	t.batch = f
	if old == nil || old.series != series {
		return f, isNew
	}
	for number := max(f.first, old.first); number < min(f.end(), old.end()); number++ {
		if isNew = false; old.fates[number-old.first] == rejected {
			f.reject(number, old.reasons[number])
		}
		f.fates[number-f.first] = old.fates[number-old.first]
	}
	if !isNew {
		f.unsure, f.next = old.unsure, slices.Clone(old.next)
	}
	return f, isNew
}

// end returns the number after the last record.
func (f *fates) end() uint64 { return f.first + uint64(len(f.fates)) }

// set sets the fate of the records with the numbers [from, to), as far as they belong to f.
func (f *fates) set(from, to uint64, result fate) {
	for number := max(from, f.first); number < min(to, f.end()); number++ {
		f.fates[number-f.first] = result
	}
}

// reject notes that the record with a number is rejected.
func (f *fates) reject(number uint64, reason string) {
	if f.reasons == nil {
		f.reasons = make(map[uint64]string)
	}
	f.reasons[number] = reason
	f.set(number, number+1, rejected)
}

// of returns the fate of record i of a batch that f follows.
func (f *fates) of(b *ship.Batch, i int) fate { return f.fates[b.First+uint64(i)-f.first] }

// stored returns how many of the first records of a batch need not be sent.
func (f *fates) stored(b *ship.Batch) (n int) {
	for n < len(b.Records) && f.of(b, n) == stored {
		n++
	}
	return n
}

// rejections returns the rejected records of a batch.
func (f *fates) rejections(b *ship.Batch) (rejections []ship.Rejection) {
	if len(f.reasons) == 0 {
		return nil
	}
	for i := range b.Records {
		if f.of(b, i) == rejected {
			rejections = append(rejections, ship.Rejection{Index: i, Reason: f.reasons[b.First+uint64(i)]})
		}
	}
	return rejections
}
