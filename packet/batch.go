package packet

import "time"

// Batch holds the datagrams of one receive call, or a part of them if GRO batches hold more
// datagrams than fit. Datagrams that the group's policy dropped are not in the Batch. A Handler
// loops over Datagrams; a datagram for which the Handler does nothing counts as delivered.
type Batch struct {
	// Datagrams are in order of arrival.
	Datagrams []Datagram
	// ReceivedAt is when the receive call returned.
	ReceivedAt time.Time
	// Port is the port at which the datagrams arrived; 0: unknown.
	Port uint16
	// Replies are queued by Reply, for the engine to send.
	Replies []Reply

	sink      Sink
	tally     Tally
	slab      []byte // memory for replies: replySize bytes for each datagram
	replySize int
}

// Reply is a queued reply.
type Reply struct {
	Index   int    // of the answered datagram in Batch.Datagrams
	Payload []byte // sent with its content when Handle returns
}

// Tally counts what a Handler did with the datagrams of a batch.
type Tally struct {
	Recorded  int // became a record; the output counts the datagram as delivered
	Malformed int // dropped as malformed
	Unparsed  int // recorded as received, since no grammar fits

	MalformedHeader int // recorded with a part of the header, as the rest breaks the grammar
}

// NewBatch returns an empty batch with room for capacity datagrams, and for a
// reply of replySize bytes to each. Records go to sink; nil discards them.
func NewBatch(capacity, replySize int, sink Sink) *Batch {
	if sink == nil {
		sink = new(nullSink)
	}
	return &Batch{
		Datagrams: make([]Datagram, 0, capacity),
		Replies:   make([]Reply, 0, capacity),
		sink:      sink,
		slab:      make([]byte, capacity*replySize),
		replySize: replySize,
	}
}

// Reset empties the batch for the next receive call.
func (b *Batch) Reset(receivedAt time.Time) {
	b.Datagrams = b.Datagrams[:0]
	b.Replies = b.Replies[:0]
	b.ReceivedAt = receivedAt
	b.tally = Tally{}
}

// ReplyBuffer returns an empty buffer for the reply to b.Datagrams[i], with the capacity of the
// group (shard.Config.ReplySize). The handler may use the buffer until Handle returns. A buffer
// that was given to Reply stays in use until the reply is sent.
func (b *Batch) ReplyBuffer(i int) []byte {
	return b.slab[i*b.replySize : i*b.replySize : (i+1)*b.replySize]
}

// Reply queues payload as the reply to b.Datagrams[i]. The reply is sent after Handle has returned,
// from the address that the client used. payload is not copied, and may be part of the datagram's
// own payload.
func (b *Batch) Reply(i int, payload []byte) {
	b.Replies = append(b.Replies, Reply{Index: i, Payload: payload})
}

// Record returns the buffer to append the next record to. Record may block while the output is
// behind.
func (b *Batch) Record() []byte { return b.sink.Buffer() }

// Commit hands back the buffer of Record with one more record: the bytes of one datagram's record
// and a newline, or what else the output expects. A datagram has at most one record.
func (b *Batch) Commit(buf []byte) {
	b.sink.Commit(buf)
	b.tally.Recorded++
}

// Malformed drops a datagram, and counts the datagram as malformed. A datagram is either recorded
// or malformed.
func (b *Batch) Malformed() { b.tally.Malformed++ }

// Unparsed marks a recorded datagram to which no grammar fits.
func (b *Batch) Unparsed() { b.tally.Unparsed++ }

// MalformedHeader marks a recorded datagram whose header was used up to the field that breaks the
// grammar.
func (b *Batch) MalformedHeader() { b.tally.MalformedHeader++ }

// Tally returns the counts since Reset.
func (b *Batch) Tally() Tally { return b.tally }

// nullSink discards records.
type nullSink struct{ buf []byte }

func (s *nullSink) Buffer() []byte    { return s.buf }
func (s *nullSink) Commit(buf []byte) { s.buf = buf[:0] }
func (s *nullSink) Flush()            {}
