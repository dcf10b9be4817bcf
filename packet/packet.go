// Package packet is what a handler sees of the network: a Batch of Datagrams
// that one receive call brought, the replies it queues and the records it
// appends.
//
// Everything in a Batch is a view over memory that the engine laid out before
// its loop began. It is valid until Handle returns, and it belongs to the one
// thread that called Handle: no lock is taken and nothing is allocated.
package packet

import "net/netip"

// Datagram is one received UDP datagram.
type Datagram struct {
	// Payload is what was sent, cut at the group's MaxDatagram. It is valid
	// until Handle returns; a handler that keeps it must copy it. It may be
	// written to: its capacity ends where its part of the slab ends.
	Payload []byte
	// Source is the sender. IPv4 senders are 4-byte addresses on dual-stack
	// sockets too; link-local IPv6 senders carry their zone.
	Source netip.AddrPort
	// Destination is the address that the sender asked, also on wildcard
	// binds, unless the group is one-way: then it is the zero Addr there.
	Destination netip.Addr
	// Truncated says that the datagram was longer than Payload (MSG_TRUNC,
	// recvmsg(2)).
	Truncated bool
}

// Handler does the work of one shard. Handle is called on the shard's own
// thread, one batch after the other; each shard has its own Handler, so a
// Handler needs no lock. A Handle that blocks stops its shard's reading, and
// the kernel's receive queue fills meanwhile.
type Handler interface {
	Handle(b *Batch)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(b *Batch)

// Handle calls f.
func (f HandlerFunc) Handle(b *Batch) { f(b) }

// Sink takes the records of one shard to where they are written. All methods
// are called on the shard's thread.
type Sink interface {
	// Buffer returns the bytes collected so far, for the next record to be
	// appended to. It may block while the output is behind: that is how an
	// output slows its shard down.
	Buffer() []byte
	// Commit takes the buffer back with exactly one record more in it.
	Commit(buf []byte)
	// Flush hands on what has been committed. It never blocks for longer
	// than Buffer does.
	Flush()
}
