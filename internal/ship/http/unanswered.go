package http

import (
	"fmt"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
)

// unanswered is the last request if its fate is not known: the server may have stored the records,
// and the answer did not come. The records are sent again in a request with the same records, and so
// with the same Idempotency-Key, before the rest of the batch is sent: a server that knows the key
// again stores no record twice. The rest of a batch alone would be divided in another way.
//
// The request is a part of ship.Batch.Note, for the case that this process ends: "accepted" (see
// noteProven), or "accepted SERIES FIRST COUNT".
type unanswered struct {
	series string
	first  uint64 // record number
	count  int    // 0: all requests were answered
	read   bool   // the note of an earlier process
}

// set notes that the fate of the records part of a batch is not known. Records that are not in a row
// make no request with an identity.
func (u *unanswered) set(b *ship.Batch, part []int) {
	u.clear()
	if _, hasID := partID(b, part); hasID {
		u.series, u.first, u.count = b.Series, b.First+uint64(part[0]), len(part)
	}
}

func (u *unanswered) clear() { u.count = 0 }

// begin removes the request from the note of a batch, and reads the note of an earlier process.
func (u *unanswered) begin(b *ship.Batch) {
	note, request, _ := strings.Cut(b.Note, " ")
	b.Note = note
	if u.read {
		return
	}
	u.read = true
	if n, _ := fmt.Sscanf(request, "%s %d %d", &u.series, &u.first, &u.count); n != 3 || u.count < 1 {
		u.clear()
	}
}

// end adds the request to the note of a batch.
func (u *unanswered) end(b *ship.Batch) {
	if u.count > 0 && b.Note == noteProven {
		b.Note = fmt.Sprintf("%s %s %d %d", b.Note, u.series, u.first, u.count)
	}
}

// countIn returns how many of the first records of a batch are those of the request.
func (u *unanswered) countIn(b *ship.Batch) int {
	if u.series != b.Series || u.first != b.First || u.count > len(b.Records) {
		return 0
	}
	return u.count
}
