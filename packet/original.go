package packet

import "github.com/udpshard/udpshard/packet/record"

// Original makes a record of every datagram: the datagram's bytes as a line. record.Unescape
// returns the bytes, which are what was sent, also newlines and NULs at the end; of a truncated
// datagram, the bytes that were received. The record of an empty datagram is an empty line. Nothing
// is decoded, so no datagram counts as unparsed.
type Original struct{}

// Handle implements Handler.
func (Original) Handle(b *Batch) {
	for i := range b.Datagrams {
		buf := record.AppendEscaped(b.Record(), b.Datagrams[i].Payload)
		b.Commit(append(buf, '\n'))
	}
}
