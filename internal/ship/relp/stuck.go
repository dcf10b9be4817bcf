package relp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/udpshard/udpshard/internal/ship"
)

// stuck is the first record without a response at the end of a session. A server that ends each
// session at a record, as librelp does at one above the limit of the server, stops the target: the
// error names the remedy.
type stuck struct {
	series string
	number uint64
	times  int // sessions in a row that ended at the record
}

// manyTimes is how many sessions end at a record before the error names the record.
const manyTimes = 3

// explain returns the error of a session that ended in a batch, with the record if the sessions
// before ended there, too.
func (s *stuck) explain(b *ship.Batch, batch *transactions, err error) error {
	i := slices.Index(batch.answers, unanswered)
	if i < 0 || batch.sent == 0 || !errors.Is(err, errEnded) {
		return err
	}
	if number := b.First + uint64(i); s.series != b.Series || s.number != number {
		*s = stuck{b.Series, number, 0}
	}
	if s.times++; s.times < manyTimes {
		return err
	}
	return fmt.Errorf("%w; each session ends at a record of %d bytes: the option max_size rejects "+
		"larger records", err, len(b.Records[i]))
}
