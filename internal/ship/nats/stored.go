package nats

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/udpshard/udpshard/internal/ship"
)

// lookBack is how many messages before the end of a stream Stored reads if there is no note of the
// stream. Without a note, no batch before has been acknowledged: the stream's messages of this
// spool are of this batch, which has at most 8192 records, and others may have published since.
const lookBack = 100_000

// fetched is how many messages Stored asks for at once: without their payload about 200 bytes each.
const fetched = 1000

// Stored returns how many of the first records of the batch the streams have. Records that are
// stored after the first missing record are remembered, and Send skips these records.
func (t *target) Stored(ctx context.Context, b *ship.Batch) (records int, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, c.abort)()
	s := &search{connection: c, pattern: t.subject.pattern, id: newIdentity(b),
		end: b.First + uint64(len(b.Records)), found: make(map[uint64]bool)}
	sequences := parseNote(b.Note)
	for _, stream := range c.streams {
		if err := s.search(ctx, stream, sequences[stream]); err != nil {
			err = failure(ctx, fmt.Errorf("ask the stream %s: %w", stream, c.explain(apiError(err))))
			t.disconnect()
			return 0, err
		}
	}
	for records < len(b.Records) && s.found[b.First+uint64(records)] {
		records++
	}
	t.stored = storedRecords{s.id.series, s.found}
	return records, nil
}

// search finds the records of a batch in streams.
type search struct {
	*connection
	pattern string // of subjects
	id      identity
	end     uint64          // number of the first record behind the batch
	found   map[uint64]bool // numbers of records
}

// search reads the headers of the messages of a stream after a sequence number. Only streams with the
// retention policy limits are read. Streams with another policy remove messages that consumers have
// acknowledged, and may demand acknowledgements from each consumer.
func (s *search) search(ctx context.Context, name string, after uint64) error {
	info, err := s.streamInfo(ctx, name)
	if err != nil {
		return err
	}
	state := info.State
	if after > state.LastSeq { // the stream was made anew
		after = 0
	}
	if after == 0 && state.LastSeq > lookBack {
		after = state.LastSeq - lookBack
	}
	if after == state.LastSeq || state.Msgs == 0 || info.Config.Retention != jetstream.LimitsPolicy {
		return nil
	}
	config := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, HeadersOnly: true, MemoryStorage: true, Replicas: 1,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		InactiveThreshold: 30 * time.Second,
	}
	if info.Config.SubjectTransform == nil {
		config.FilterSubject = s.pattern
	}
	creation, cancel := s.request(ctx)
	defer cancel()
	consumer, err := s.js.CreateConsumer(creation, name, config)
	if err != nil {
		return err
	}
	err = s.read(ctx, consumer, state.LastSeq)
	deletion, cancel := s.request(ctx)
	defer cancel()
	s.js.DeleteConsumer(deletion, name, consumer.CachedInfo().Name) // else InactiveThreshold ends it
	return err
}

// read reads messages up to a sequence number.
func (s *search) read(ctx context.Context, consumer jetstream.Consumer, last uint64) error {
	pending := consumer.CachedInfo().NumPending
	for sequence := uint64(0); pending > 0 && sequence < last; {
		if len(s.found) == int(s.end-s.id.number) {
			return nil
		}
		var err error
		if sequence, pending, err = s.fetch(ctx, consumer, int(min(pending, fetched))); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads n messages, and returns the sequence number of the last, and how many follow.
func (s *search) fetch(ctx context.Context, consumer jetstream.Consumer, n int) (
	last, pending uint64, err error,
) {
	ctx, cancel := s.request(ctx)
	defer cancel()
	messages, err := consumer.Fetch(n, jetstream.FetchContext(ctx))
	if err != nil {
		return 0, 0, err
	}
	for m := range messages.Messages() {
		data, err := m.Metadata()
		if err != nil {
			return 0, 0, err
		}
		last, pending = data.Sequence.Stream, data.NumPending
		n--
		s.note(m.Headers().Get(nats.MsgIdHdr))
	}
	if err := messages.Error(); err != nil {
		return 0, 0, err
	}
	if n > 0 {
		return 0, 0, fmt.Errorf("%d messages are missing after %v", n, requestTimeout)
	}
	return last, pending, nil
}

// note notes the records of the batch that a message has.
func (s *search) note(id string) {
	first, end, ok := s.id.parse(id)
	if !ok {
		return
	}
	for n := max(first, s.id.number); n < min(end, s.end); n++ {
		s.found[n] = true
	}
}
