package nats

import (
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// identity makes and reads the identities of messages: that of a record is Batch.RecordID, that of
// a message of several records is Batch.ID of a batch of these records.
type identity struct {
	series string // what the identities of all records of the series begin with
	number uint64 // of the first record of the batch
}

func newIdentity(b *ship.Batch) identity {
	first := b.RecordID(0)
	return identity{first[:strings.LastIndexByte(first, '-')+1], b.First}
}

// record returns the identity of the record Batch.Records[i].
func (id identity) record(i int) string {
	return numbered(id.series, id.number+uint64(i))
}

// records returns the identity of count records from Batch.Records[i] on.
func (id identity) records(i, count int) string {
	return id.record(i) + "." + strconv.Itoa(count)
}

// numbered returns a text and a number, with one allocation.
func numbered(text string, n uint64) string {
	var buffer [128]byte
	return string(strconv.AppendUint(append(buffer[:0], text...), n, 10))
}

// parse returns the numbers of the records of a message: from first, and below end. ok is false if
// the message is not of this series.
func (id identity) parse(text string) (first, end uint64, ok bool) {
	text, ok = strings.CutPrefix(text, id.series)
	if !ok {
		return 0, 0, false
	}
	number, count, several := strings.Cut(text, ".")
	first, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	n := uint64(1)
	if several {
		if n, err = strconv.ParseUint(count, 10, 32); err != nil {
			return 0, 0, false
		}
	}
	return first, first + n, true
}

// storedRecords are the records of a series that are stored in the stream after the first record
// that is missing there.
type storedRecords struct {
	series  string
	numbers map[uint64]bool
}

// has reports whether the stream has the record Batch.Records[i].
func (r *storedRecords) has(id identity, i int) bool {
	return r.series == id.series && r.numbers[id.number+uint64(i)]
}
