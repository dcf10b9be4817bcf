package http

import (
	"fmt"

	"github.com/udpshard/udpshard/internal/ship"
)

// doubt is the last request if its fate is not known: the server may have stored the records, and
// the answer did not come. The records are sent again in a request with the same records, and so
// with the same Idempotency-Key, before the rest of the batch is sent: a server that knows the key
// again stores no record twice. The rest of a batch alone would be divided in another way.
type doubt struct {
	series string
	first  uint64 // record number
	count  int    // 0: no request is in doubt
}

// set notes that the fate of the records part of a batch is not known. Records that are not in a row
// make no request with an identity.
func (d *doubt) set(b *ship.Batch, part []int) {
	*d = doubt{}
	if _, hasID := partID(b, part); hasID {
		*d = doubt{b.Series, b.First + uint64(part[0]), len(part)}
	}
}

// recall reads the note of an earlier process.
func (d *doubt) recall(note string) {
	if n, _ := fmt.Sscanf(note, "%s %d %d", &d.series, &d.first, &d.count); n != 3 || d.count < 1 {
		*d = doubt{}
	}
}

// note returns the text for recall; "" if no request is in doubt.
func (d *doubt) note() string {
	if d.count == 0 {
		return ""
	}
	return fmt.Sprintf("%s %d %d", d.series, d.first, d.count)
}

// countIn returns how many of the first records of a batch are those of the request in doubt.
func (d *doubt) countIn(b *ship.Batch) int {
	if d.series != b.Series || d.first != b.First || d.count > len(b.Records) {
		return 0
	}
	return d.count
}
