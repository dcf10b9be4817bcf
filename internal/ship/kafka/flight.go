package kafka

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/udpshard/udpshard/internal/ship"
)

// flight is messages that were produced, until all of them have a result. A flight has copies of
// the records, as the client may need them after Send. The memory is used again when the flight has
// ended.
type flight struct {
	messages []kgo.Record
	headers  []kgo.RecordHeader // one for each message
	spans    []span             // of each message
	bytes    []byte             // keys, values and identities
	size     int                // bytes of records
	records  int

	started time.Time
	pending atomic.Int64          // messages without a result
	ended   chan struct{}         // closed when no message is pending
	errs    map[*kgo.Record]error // of messages that failed; read after the end
	flush   context.CancelFunc    // ends sending, not the messages
}

// span is the records of a message: numbers in the series, without the last.
type span struct{ from, to uint64 }

// fill makes the messages of the unsent records of a batch: as many as have limit bytes, at least
// one record. With limit 0 there is one message.
func (l *flight) fill(b *ship.Batch, f *fates, perBatch bool, limit int) {
	l.messages, l.headers, l.spans, l.bytes = l.messages[:0], l.headers[:0], l.spans[:0], l.bytes[:0]
	l.size, l.records = 0, 0
	series := []byte(b.Series)
	for i := 0; i < len(b.Records); {
		if f.of(b, i) != unsent {
			i++
			continue
		}
		if len(l.spans) > 0 && (limit == 0 || l.size+len(b.Records[i]) > limit) {
			return
		}
		first, start := i, len(l.bytes)
		for ok := true; ok; ok = perBatch && i < len(b.Records) && f.of(b, i) == unsent &&
			(limit == 0 || l.size+len(b.Records[i]) <= limit) {
			if i > first {
				l.bytes = append(l.bytes, '\n')
			}
			l.bytes = append(l.bytes, b.Records[i]...)
			l.size += len(b.Records[i])
			l.records++
			i++
		}
		value := l.bytes[start:len(l.bytes):len(l.bytes)]
		key := series
		if !perBatch && b.Format == ship.JSON {
			if address := sender(value); address != nil {
				key = address
			}
		}
		l.add(key, value, f.series, span{b.First + uint64(first), b.First + uint64(i)}, perBatch)
	}
}

// add adds a message. key and value are not copied.
func (l *flight) add(key, value []byte, series string, s span, perBatch bool) {
	start := len(l.bytes)
	l.bytes = append(l.bytes, series...)
	l.bytes = strconv.AppendUint(l.bytes, s.from, 10)
	if perBatch {
		l.bytes = append(l.bytes, '.')
		l.bytes = strconv.AppendUint(l.bytes, s.to-s.from, 10)
	}
	l.spans = append(l.spans, s)
	id := l.bytes[start:len(l.bytes):len(l.bytes)]
	l.headers = append(l.headers, kgo.RecordHeader{Key: headerID, Value: id})
	l.messages = append(l.messages, kgo.Record{Key: key, Value: value})
}

// sourceMember begins the member source. In a string of JSON a quote has a backslash before it, so
// the bytes of sourceMember are in no value.
var sourceMember = []byte(`"source":"`)

// sender returns the address in the member source of a record, without the port; nil if there is
// none. Messages with the same key are in one partition, in order. The search begins at the end of
// the record: source is one of the last members (record.Tail), and comes after the members with
// text of the sender.
func sender(line []byte) []byte {
	i := bytes.LastIndex(line, sourceMember)
	if i < 0 {
		return nil
	}
	source := line[i+len(sourceMember):]
	source = source[:max(bytes.IndexByte(source, '"'), 0)]
	if i := bytes.LastIndexByte(source, ':'); i > 0 {
		return bytes.Trim(source[:i], "[]")
	}
	return nil
}

// produce gives the messages to the client, which sends them after resume. The context of Produce
// is never canceled: a canceled message may be stored, and makes gaps in the sequences of the
// producer (https://github.com/twmb/franz-go/issues/1217).
func (l *flight) produce(client *kgo.Client) {
	l.started, l.ended, l.errs = time.Now(), make(chan struct{}), nil
	l.pending.Store(int64(len(l.messages)))
	result := l.result
	for i := range l.messages {
		l.messages[i].Headers = l.headers[i : i+1 : i+1]
		l.messages[i].Timestamp = l.started
		client.Produce(context.Background(), &l.messages[i], result)
	}
}

// result notes the result of a message. The client calls result from one goroutine at a time.
func (l *flight) result(m *kgo.Record, err error) {
	if err != nil {
		if l.errs == nil {
			l.errs = make(map[*kgo.Record]error)
		}
		l.errs[m] = err
	}
	if l.pending.Add(-1) == 0 {
		close(l.ended)
	}
}

// resume makes the client send messages, also again after errors.
func (l *flight) resume(client *kgo.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	l.flush = cancel
	go client.Flush(ctx)
}

// pause makes the client send nothing more.
func (l *flight) pause() { l.flush() }
