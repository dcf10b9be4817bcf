package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/udpshard/udpshard/internal/ship"
)

// Bounds of a search in the topic.
const (
	// lookupTimeout is for one call of Stored.
	lookupTimeout = 30 * time.Second
	// lookBack is how many messages of a partition are read at most without a Note.
	lookBack = 100_000
	// clockSlack: a message with a timestamp of this much before ship.Batch.SpooledAt is not of the
	// batch. The timestamp is the time of Send by the clock of the host of the spool.
	clockSlack = time.Minute
)

// Stored returns how many of the first records of the batch the topic has. All stored records are
// remembered, and not sent again by Send. A user without the permission to read the topic has no
// answer: then Stored returns 0, and records may be stored twice.
func (t *target) Stored(ctx context.Context, b *ship.Batch) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lookupTimeout,
		fmt.Errorf("the end of the topic was not reached within %v", lookupTimeout))
	defer cancel()
	f, isNew := t.follow(b)
	if isNew {
		f.unsure = true
	}
	if t.flight != nil {
		select {
		case <-t.flight.ended:
			t.land(f) // an error makes f unsure
		default:
			return f.stored(b), nil // Send waits for the results
		}
	}
	if err := t.resolve(ctx, b, f); err != nil {
		return 0, err
	}
	return f.stored(b), nil
}

// lookup reads the topic from the place where messages of the batch can be to the end, and notes
// which records are stored.
func (t *target) lookup(ctx context.Context, b *ship.Batch, f *fates) error {
	client, err := t.newClient(
		kgo.KeepControlRecords(), // else a search would wait at one
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchMaxBytes(4<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.MaxConcurrentFetches(1),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	starts, ends, err := t.bounds(ctx, client, b)
	if err != nil {
		return err
	}
	partitions := make(map[int32]kgo.Offset)
	for p := range ends {
		if starts[p] < ends[p] {
			partitions[int32(p)] = kgo.NewOffset().At(starts[p])
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{t.topic: partitions})
	for len(partitions) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			if errors.Is(err, kerr.TopicAuthorizationFailed) {
				break
			}
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return t.sendError(fmt.Errorf("search of stored records: %w", err))
		}
		fetches.EachRecord(func(m *kgo.Record) {
			f.find(m)
			if m.Offset+1 >= ends[m.Partition] {
				delete(partitions, m.Partition)
			}
		})
	}
	f.unsure = false
	return nil
}

// bounds returns the offsets of each partition between which messages of the batch are.
func (t *target) bounds(ctx context.Context, client *kgo.Client, b *ship.Batch) (
	starts, ends offsets, err error) {
	n, err := t.partitions(ctx, client)
	if err != nil {
		return nil, nil, err
	}
	ends, endErr := t.list(ctx, client, n, atEnd)
	starts, startErr := t.list(ctx, client, n, atStart)
	times, timeErr := t.list(ctx, client, n, b.SpooledAt.Add(-clockSlack).UnixMilli())
	if err := errors.Join(endErr, startErr, timeErr); err != nil {
		return nil, nil, err
	}
	note := parseOffsets(b.Note)
	if !t.acked[b.Series] { // another series may have changed the note since
		note = parseOffsets(*t.firstNote)
	}
	for p := range ends {
		partition := int32(p)
		next := note.of(partition)
		switch {
		case times.of(partition) == unknown:
			starts[p] = ends[p]
		case next == unknown || next > ends[p]: // after the end: the topic was made anew
			starts[p] = max(starts[p], times[p], ends[p]-lookBack)
		default:
			starts[p] = max(starts[p], times[p], next)
		}
	}
	return starts, ends, nil
}

// find notes the records of a message that belong to the batch.
func (f *fates) find(m *kgo.Record) {
	for _, h := range m.Headers {
		if h.Key != headerID {
			continue
		}
		rest, found := strings.CutPrefix(string(h.Value), f.series)
		if !found {
			return
		}
		number, count, many := strings.Cut(rest, ".")
		from, err := strconv.ParseUint(number, 10, 64)
		n := uint64(1)
		if many && err == nil {
			n, err = strconv.ParseUint(count, 10, 32)
		}
		if err == nil {
			f.set(from, from+n, stored)
		}
	}
}
