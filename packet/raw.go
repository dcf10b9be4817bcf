package packet

import (
	"encoding/base64"
	"unicode/utf8"

	"github.com/udpshard/udpshard/packet/record"
)

// Raw makes a record of every datagram: the message is the payload, in base64 if not UTF-8.
type Raw struct{ tail record.Tail }

// NewRaw returns the handler of one shard of a listener.
func NewRaw(listener string, shard int) *Raw {
	return &Raw{tail: record.NewTail(listener, shard)}
}

// Handle implements Handler.
func (r *Raw) Handle(b *Batch) {
	for i := range b.Datagrams {
		d := &b.Datagrams[i]
		buf := append(b.Record(), '{')
		switch {
		case len(d.Payload) == 0:
		case utf8.Valid(d.Payload):
			buf = append(buf, `"message":`...)
			buf = record.AppendString(buf, d.Payload)
		default:
			buf = append(buf, `"message_base64":"`...)
			buf = base64.StdEncoding.AppendEncode(buf, d.Payload)
			buf = append(buf, '"')
		}
		b.Commit(r.tail.Append(buf, b.ReceivedAt, d.Source, "", "", d.Truncated))
	}
}
