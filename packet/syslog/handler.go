package syslog

import (
	"time"

	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/record"
)

// Handler is the packet.Handler that makes a record of each datagram. Each shard has a Handler of
// its own.
type Handler struct {
	// Location is the location of senders whose timestamps have no zone; nil is time.Local.
	Location *time.Location

	decoder Decoder
	message Message
	tail    record.Tail
}

// NewHandler returns the Handler of one shard of a listener.
func NewHandler(listener string, shard int) *Handler {
	return &Handler{tail: record.NewTail(listener, shard)}
}

// Handle implements packet.Handler.
func (h *Handler) Handle(b *packet.Batch) {
	h.decoder.Location = h.Location
	for i := range b.Datagrams {
		datagram := &b.Datagrams[i]
		h.decoder.Decode(&h.message, datagram.Payload, b.ReceivedAt)
		buf := h.message.AppendJSON(b.Record())
		buf = h.tail.Append(
			buf, b.ReceivedAt, datagram.Source, string(h.message.Format), h.message.Malformed, datagram.Truncated)
		b.Commit(buf)
		h.message.count(b)
	}
}

// count counts the message of a record.
func (m *Message) count(b *packet.Batch) {
	switch {
	case m.Format == Unparsed:
		b.Unparsed()
	case m.Malformed != "":
		b.MalformedHeader()
	}
}
