// Package packet is a handler's view of the network: a Batch of Datagrams from one receive call,
// the replies that the handler queues, and the records that the handler appends.
//
// A Batch is a view of memory that the engine lays out before its loop begins. The Batch is valid
// until Handle returns, and belongs to the thread that called Handle: nothing is locked or
// allocated.
package packet

import "net/netip"

// Datagram is a received UDP datagram.
type Datagram struct {
	// Payload is the datagram's content, cut at the group's MaxDatagram. Payload is valid until
	// Handle returns: a handler has to copy what it keeps. A handler may write to Payload, whose
	// capacity ends where its part of the slab ends.
	Payload []byte
	// Source is the sender. IPv4 senders are 4-byte addresses on dual-stack
	// sockets too; link-local IPv6 senders carry their zone.
	Source netip.AddrPort
	// Destination is the address that the sender used, also on wildcard binds. In a one-way group
	// on a wildcard bind, Destination is the zero Addr.
	Destination netip.Addr
	// Truncated means that the datagram was longer than Payload (MSG_TRUNC, recvmsg(2)).
	Truncated bool
}

// Handler does the work of one shard. The shard's own thread calls Handle, one batch after another.
// Each shard has a Handler of its own, so a Handler needs no lock. While Handle blocks, the shard
// does not read, and the kernel's receive queue fills.
type Handler interface {
	Handle(b *Batch)
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(b *Batch)

// Handle calls f.
func (f HandlerFunc) Handle(b *Batch) { f(b) }

// Sink brings the records of one shard to an output. All methods are called on the shard's thread.
type Sink interface {
	// Buffer returns the bytes collected so far, to append the next record to. Buffer may block
	// while the output is behind: that is how an output slows its shard down.
	Buffer() []byte
	// Commit hands the buffer back with exactly one more record.
	Commit(buf []byte)
	// Flush passes the committed records on. Flush blocks no longer than Buffer.
	Flush()
}
