package syslog

import (
	"time"

	"github.com/udpshard/udpshard/packet"
)

// RFC5424Handler is the packet.Handler that makes an RFC 5424 line of each datagram, for collectors
// of syslog: see Message.AppendRFC5424. Each shard has an RFC5424Handler of its own. The zero
// RFC5424Handler is ready for use.
type RFC5424Handler struct {
	// Location is the location of senders whose timestamps have no zone; nil is time.Local.
	Location *time.Location

	decoder Decoder
	message Message
}

// Handle implements packet.Handler.
func (h *RFC5424Handler) Handle(b *packet.Batch) {
	h.decoder.Location = h.Location
	for i := range b.Datagrams {
		datagram := &b.Datagrams[i]
		h.decoder.Decode(&h.message, datagram.Payload, b.ReceivedAt)
		buf := h.message.AppendRFC5424(b.Record(), b.ReceivedAt, datagram.Source, datagram.Truncated)
		b.Commit(append(buf, '\n'))
		h.message.count(b)
	}
}
