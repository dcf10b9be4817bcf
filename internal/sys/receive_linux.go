package sys

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Receiver reads batches of datagrams from a UDP socket with recvmmsg(2).
type Receiver struct {
	hdrs     []mmsghdr
	iovs     []unix.Iovec
	evidence evidence
	slab     []byte
	size     int // of one message's part of slab
	used     int // messages that the kernel has written since they were last reset
}

// ReceiverOptions are what a Receiver is to know of messages.
type ReceiverOptions struct {
	// Destinations: Destination, Copied and Sender.Reply know which address
	// was asked, provided that the socket has IP_PKTINFO or
	// IPV6_RECVPKTINFO set.
	Destinations bool
	// Trains: Segment knows of them, if the socket has UDP_GRO.
	Trains bool
	// Copies says that broadcasts and multicasts are not counted here.
	Copies bool
	// Memory is for names and control messages, which Arrived reads, and with Trains also for
	// the message headers. It has at least ReceiverSpace bytes, and no other process must be
	// able to write to it. nil: NewReceiver makes memory.
	Memory []byte
}

// NewReceiver lays out headers and a slab for batch messages of up to size
// bytes.
func NewReceiver(batch, size int, o ReceiverOptions) *Receiver {
	memory := o.Memory
	if memory == nil {
		memory = make([]byte, ReceiverSpace(batch))
	}
	space := 0
	if o.Destinations {
		space += destinationSpace
	}
	if o.Trains {
		space += segmentSpace
	}
	box := At[mailbox](memory, 0)
	box.batch.Store(0)
	box.space, box.trains, box.copies = uint32(space), bit(o.Trains), bit(o.Copies)
	r := &Receiver{
		evidence: evidenceIn(memory, batch, space, o.Trains, o.Copies),
		iovs:     make([]unix.Iovec, batch),
		slab:     make([]byte, batch*size),
		size:     size,
		used:     batch,
	}
	if r.hdrs = r.evidence.headers; r.hdrs == nil {
		r.hdrs = make([]mmsghdr, batch)
	}
	clear(r.evidence.controls) // a write brings pages in: see evidence
	for i := range r.hdrs {
		r.iovs[i].Base = &r.slab[i*size]
		r.iovs[i].SetLen(size)
		h := &r.hdrs[i].hdr
		h.Name = &r.evidence.names[i][0]
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		if space > 0 {
			h.Control = &r.evidence.controls[i*space]
		}
	}
	r.Reset()
	box.batch.Store(uint32(batch))
	return r
}

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// Reset makes the headers ready for the next Receive, which does it itself
// where it was not done: from then on Arrived no longer knows of the last
// batch. So count it before.
func (r *Receiver) Reset() {
	for i := range r.hdrs[:r.used] {
		r.evidence.reset(i)
		h := &r.hdrs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		if r.evidence.space > 0 {
			h.SetControllen(r.evidence.space)
		}
	}
	r.used = 0
}

// Receive reads up to a batch. It blocks for the first datagram, unless flags
// has MSG_DONTWAIT, for as long as the socket's SO_RCVTIMEO; it does not wait
// for further ones. EAGAIN means that nothing came. The previous batch's
// memory is used again.
//
// It is a raw system call: the scheduler believes that the thread runs Go
// code meanwhile, so it keeps its P, and nobody wakes sysmon to take that
// away. To stop the world the runtime signals the thread; the receive then
// fails with EINTR, since one with a time-out is not restarted (signal(7)),
// and the caller must pass a preemption point (runtime.Gosched) before it
// calls again, or the world never stops. Without SO_RCVTIMEO it must be given
// MSG_DONTWAIT.
func (r *Receiver) Receive(fd, flags int) (int, error) {
	r.Reset()
	n, err := mmsg(unix.SYS_RECVMMSG, fd, r.hdrs, flags|unix.MSG_WAITFORONE)
	r.used = n
	return n, err
}

// Arrived returns how many datagrams the first n messages of the last batch
// are: a train is several, and where copies do not count, they are none.
func (r *Receiver) Arrived(n int) uint64 { return r.evidence.arrived(n) }

// Payload returns message i of the last batch. Its capacity ends where its
// part of the slab ends.
func (r *Receiver) Payload(i int) []byte {
	at := i * r.size
	return r.slab[at : at+int(r.hdrs[i].len) : at+r.size]
}

// Truncated says whether message i was longer than its part of the slab.
func (r *Receiver) Truncated(i int) bool { return r.hdrs[i].hdr.Flags&unix.MSG_TRUNC != 0 }

// Named says whether message i has a sender. A socket that was shut down
// reports messages that nobody sent, of length 0 and without a name
// (inet_recvmsg, Linux 6.18).
func (r *Receiver) Named(i int) bool { return r.hdrs[i].hdr.Namelen != 0 }

// Source returns the sender of message i, and the interface index that is the
// zone of a link-local one (0 for all others).
func (r *Receiver) Source(i int) (netip.AddrPort, uint32) {
	name := &r.evidence.names[i]
	return name.addrPort(), name.scope()
}

// Destination returns the address that message i was sent to, and the zero
// Addr if the socket does not tell.
func (r *Receiver) Destination(i int) netip.Addr { return parseControl(r.controlOf(i)).asked }

// Copied says whether message i was sent to a broadcast or multicast address.
// The kernel gives one copy of such a datagram to every socket of the port,
// members of a SO_REUSEPORT group included (__udp4_lib_mcast_deliver, Linux
// 6.18).
func (r *Receiver) Copied(i int) bool {
	said := parseControl(r.controlOf(i))
	return said.asked != said.local
}

// Segment returns the length of the datagrams that message i is a train of,
// of which the last may be shorter, and 0 if it is one datagram.
func (r *Receiver) Segment(i int) int { return parseControl(r.controlOf(i)).segment }

// controlOf returns what the kernel wrote of message i's control messages.
func (r *Receiver) controlOf(i int) []byte {
	at := i * r.evidence.space
	return r.evidence.controls[at : at+min(int(r.hdrs[i].hdr.Controllen), r.evidence.space)]
}
