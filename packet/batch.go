package packet

import "time"

// Batch is what one receive call brought, or a part of it where trains of
// datagrams brought more than fits, without what the group's policy dropped. A Handler loops over Datagrams; a datagram for which it does
// nothing counts as delivered.
type Batch struct {
	// Datagrams are in order of arrival.
	Datagrams []Datagram
	// ReceivedAt is when the receive call returned.
	ReceivedAt time.Time
	// Replies are what Reply queued, for the engine to send.
	Replies []Reply

	sink  Sink
	tally Tally
	slab  []byte // for replies, size of it for each datagram
	size  int
}

// Reply is one queued answer.
type Reply struct {
	Index   int    // of the datagram in Batch.Datagrams that is answered
	Payload []byte // what is sent, as it is when Handle returns
}

// Tally is what a Handler has said of a batch's datagrams.
type Tally struct {
	Recorded  int // became a record, so its output says when it is delivered
	Malformed int // dropped for its form
	Unparsed  int // recorded as it came, since no grammar fitted

	MalformedHeader int // recorded with a part of its header, since the rest breaks the grammar
}

// NewBatch returns an empty batch with room for capacity datagrams, and for a
// reply of size bytes to each. Records go to sink; nil discards them.
func NewBatch(capacity, size int, sink Sink) *Batch {
	if sink == nil {
		sink = new(nullSink)
	}
	return &Batch{
		Datagrams: make([]Datagram, 0, capacity),
		Replies:   make([]Reply, 0, capacity),
		sink:      sink,
		slab:      make([]byte, capacity*size),
		size:      size,
	}
}

// Reset empties the batch for the next receive call.
func (b *Batch) Reset(receivedAt time.Time) {
	b.Datagrams = b.Datagrams[:0]
	b.Replies = b.Replies[:0]
	b.ReceivedAt = receivedAt
	b.tally = Tally{}
}

// ReplyBuffer returns an empty buffer in which to make the answer to
// b.Datagrams[i], with the capacity that the group was asked for
// (shard.Config.ReplySize). It is the handler's until Handle returns, and then,
// if it was given to Reply, until it is sent.
func (b *Batch) ReplyBuffer(i int) []byte { return b.slab[i*b.size : i*b.size : (i+1)*b.size] }

// Reply queues payload as the answer to b.Datagrams[i]. It leaves from the
// address that was asked, after Handle has returned; payload is not copied,
// and may be a part of the datagram's own.
func (b *Batch) Reply(i int, payload []byte) {
	b.Replies = append(b.Replies, Reply{Index: i, Payload: payload})
}

// Record returns the buffer to append the next record to. It may block while
// the output is behind.
func (b *Batch) Record() []byte { return b.sink.Buffer() }

// Commit hands back the buffer that Record returned, with one record more:
// the bytes of one datagram's record and its newline. A datagram has at most
// one record.
func (b *Batch) Commit(buf []byte) {
	b.sink.Commit(buf)
	b.tally.Recorded++
}

// Malformed drops a datagram for its form, and counts it as that. A datagram
// is either recorded or malformed.
func (b *Batch) Malformed() { b.tally.Malformed++ }

// Unparsed marks a recorded datagram as one that no grammar fitted.
func (b *Batch) Unparsed() { b.tally.Unparsed++ }

// MalformedHeader marks a recorded datagram as one whose header was taken up to
// the field that breaks the grammar.
func (b *Batch) MalformedHeader() { b.tally.MalformedHeader++ }

// Tally returns what was said since Reset.
func (b *Batch) Tally() Tally { return b.tally }

// nullSink takes records nowhere.
type nullSink struct{ buf []byte }

func (s *nullSink) Buffer() []byte    { return s.buf }
func (s *nullSink) Commit(buf []byte) { s.buf = buf[:0] }
func (s *nullSink) Flush()            {}
