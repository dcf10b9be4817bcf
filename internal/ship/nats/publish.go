package nats

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/udpshard/udpshard/internal/ship"
)

// publication brings one batch to the stream. The type does by itself what the library's
// PublishAsync does: PublishAsync sends a message again behind later ones if no stream answers, and
// costs a future, channels and a timer for each message.
type publication struct {
	*connection
	target *target
	batch  *ship.Batch
	id     identity

	first    uint64    // number of messages[0]
	messages []message // that were published, in order
	next     int       // first record that is in no message
	waiting  int       // messages without an answer
	rejected []ship.Rejection
	err      error // the first failure
}

// message is some records of the batch: from Records[first] on. Between two messages are rejected
// records, and records that the stream has.
type message struct {
	first, count int
	done         bool   // acknowledged or rejected
	stream       string // "" if rejected
	sequence     uint64
}

// run publishes the batch until the end, or the first failure. p.err has the failure.
func (p *publication) run(ctx context.Context) {
	out := &nats.Msg{Header: nats.Header{nats.MsgIdHdr: make([]string, 1)}}
	for p.err == nil && p.cut(out) {
		out.Reply = numbered(p.inbox, p.published)
		p.published++
		p.waiting++
		if err := p.nc.PublishMsg(out); err != nil {
			p.waiting--
			last := len(p.messages) - 1
			p.next = p.messages[last].first // result counts the records before next
			p.messages = p.messages[:last]
			p.err = p.explain(fmt.Errorf("publish: %w", err))
			break
		}
		for p.err == nil && len(p.acks) > 0 {
			p.handle(<-p.acks)
		}
		if p.waiting >= p.target.inFlight {
			p.await(ctx, p.target.inFlight/2) // fewer changes of goroutines than one a message
		}
	}
	p.await(ctx, 0)
}

// cut makes a message of the next records. The result is false at the end of the batch.
func (p *publication) cut(out *nats.Msg) bool {
	t, records := p.target, p.batch.Records
	for ; p.next < len(records); p.next++ {
		if t.stored.has(p.id, p.next) {
			continue
		}
		id := p.id.record(p.next)
		if size := headerSize(id) + len(records[p.next]); size > p.maxMessage {
			p.reject(p.next, fmt.Sprintf("a message of %d bytes, at most %d are accepted",
				size, p.maxMessage))
			continue
		}
		m := message{first: p.next, count: 1}
		out.Data = records[p.next]
		if t.perBatch {
			out.Data, m.count = p.join()
			id = p.id.records(m.first, m.count)
		}
		out.Subject = t.subjectOf(p.batch, records[p.next])
		out.Header[nats.MsgIdHdr][0] = id
		p.messages = append(p.messages, m)
		p.next += m.count
		return true
	}
	return false
}

// join returns the lines of as many records as a message may have, at least one, and their number.
// The same batch is cut into the same messages again, if the limit of the server is the same.
func (p *publication) join() (lines []byte, count int) {
	t := p.target
	room := p.maxMessage - headerSize(p.id.records(p.next, len(p.batch.Records)))
	lines = t.lines[:0]
	for i, r := range p.batch.Records[p.next:] {
		if i > 0 && (len(lines)+len(r)+1 > room || t.stored.has(p.id, p.next+i)) {
			break
		}
		lines = append(append(lines, r...), '\n')
		count++
	}
	t.lines = lines
	return lines, count
}

// headerSize returns the bytes of the headers of a message, which the server's limit includes.
func headerSize(id string) int {
	return len("NATS/1.0\r\n") + len(nats.MsgIdHdr) + len(": \r\n\r\n") + len(id)
}

// reject notes that the record Records[i] is refused for good.
func (p *publication) reject(i int, reason string) {
	p.rejected = append(p.rejected, ship.Rejection{Index: i, Reason: reason})
}

// await handles answers until at most a number of messages is without one. After a failure, await
// gives the remaining messages a short time: what is acknowledged is not sent again.
func (p *publication) await(ctx context.Context, most int) {
	timer := time.NewTimer(ackTimeout)
	defer timer.Stop()
	for p.waiting > most {
		limit := ackTimeout
		if p.err != nil {
			most, limit = 0, settleTimeout
		}
		timer.Reset(limit)
		select {
		case answer := <-p.acks:
			p.handle(answer)
		case <-timer.C:
			p.fail(fmt.Errorf("no acknowledgement within %v", limit))
			return
		case <-p.alive.Done():
			p.fail(p.explain(nil))
			return
		case <-ctx.Done():
			p.fail(ctx.Err())
			return
		}
	}
}

// fail notes the first failure.
func (p *publication) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
