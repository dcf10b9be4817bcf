package http

import (
	"context"
	"errors"

	"github.com/udpshard/udpshard/internal/ship"
)

// refusal is the error of a request that the server refuses because of the records in it.
type refusal struct {
	reason   string
	tooLarge bool
	all      bool    // each record would be refused alone, too
	parts    [][]int // how to divide the records; nil: into halves
}

func (r *refusal) Error() string { return r.reason }

// deliverAll sends a batch, whose indices are all: first the records of an unanswered request.
func (t *target) deliverAll(ctx context.Context, b *ship.Batch, all []int) error {
	first := t.unanswered.countIn(b)
	if err := t.deliver(ctx, b, all[:first]); err != nil {
		return err
	}
	return t.deliver(ctx, b, all[first:])
}

// deliver sends the records part of a batch. Records that the server refuses are sent in ever
// smaller parts, so a record is rejected only when refused alone. One bad record of n costs 2·log2(n)
// further requests.
func (t *target) deliver(ctx context.Context, b *ship.Batch, part []int) error {
	if len(part) == 0 {
		return nil
	}
	size := sizeOf(b, part)
	if max := t.limit.bytes; max > 0 && size > max && len(part) > 1 {
		return t.deliverHalves(ctx, b, part)
	}
	err := t.request(ctx, b, part)
	var refused *refusal
	t.unanswered.clear()
	switch {
	case err == nil:
		t.limit.accepted()
		return nil
	case !errors.As(err, &refused):
		t.unanswered.set(b, part)
		if errors.Is(err, errNoAnswer) {
			t.limit.noAnswer(size)
		}
		return err
	case len(part) == 1 || refused.all:
		t.results.reject(part, refused.reason)
		if refused.tooLarge || refused.all {
			return nil
		}
		return t.checkDoubt(b, refused.reason)
	}
	if refused.tooLarge {
		t.limit.refused(size)
	}
	if refused.parts == nil {
		return t.deliverHalves(ctx, b, part)
	}
	for _, p := range refused.parts {
		if err := t.deliver(ctx, b, p); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) deliverHalves(ctx context.Context, b *ship.Batch, part []int) error {
	half := len(part) / 2
	if err := t.deliver(ctx, b, part[:half]); err != nil {
		return err
	}
	return t.deliver(ctx, b, part[half:])
}

// sizeOf returns the bytes of the records part.
func sizeOf(b *ship.Batch, part []int) (bytes int) {
	for _, i := range part {
		bytes += len(b.Records[i])
	}
	return bytes
}

// partID returns the identity of the records part: of the batch that has just these records. Only
// records in a row have an identity.
func partID(b *ship.Batch, part []int) (id string, ok bool) {
	first, n := part[0], len(part)
	if part[n-1]-first != n-1 {
		return "", false
	}
	of := ship.Batch{Spool: b.Spool, Listener: b.Listener, Series: b.Series,
		First: b.First + uint64(first), Records: b.Records[first : first+n]}
	return of.ID(), true
}

// sizeLimit is the largest request that a server accepts, learned from answers with the status 413,
// so that a large batch is not sent in vain each time.
type sizeLimit struct {
	bytes   int // of records; 0: no limit is known
	after   int // accepted requests since the last change
	silence int // requests in a row that were sent, and had no answer
}

const (
	// minSizeLimit: one large record among small ones must not make all requests small.
	minSizeLimit = 16 << 10
	// maxSizeLimit is the largest batch: see ship.Target.
	maxSizeLimit = 1 << 20
	// raiseAfter is how many accepted requests raise the limit: the server may have a new one.
	raiseAfter = 100
	// maxSilence is how many requests may have no answer before a request is made smaller: a slow
	// server needs longer than the timeout, and one that resets the connection at a request that is
	// too large may prevent the client from seeing the status 413. The identity of a request is kept
	// until then, for stores that recognize it.
	maxSilence = 3
)

// noAnswer lowers the limit after maxSilence requests without an answer.
func (l *sizeLimit) noAnswer(size int) {
	if l.silence++; l.silence >= maxSilence {
		l.refused(size)
	}
}

// refused lowers the limit after a request of size bytes was too large.
func (l *sizeLimit) refused(size int) { *l = sizeLimit{bytes: max(size/2, minSizeLimit)} }

// accepted notes an accepted request.
func (l *sizeLimit) accepted() {
	l.silence = 0
	if l.bytes == 0 {
		return
	}
	if l.after++; l.after < raiseAfter {
		return
	}
	*l = sizeLimit{bytes: 2 * l.bytes}
	if l.bytes >= maxSizeLimit {
		l.bytes = 0
	}
}
