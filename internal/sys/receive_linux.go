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
	size     int // of a message's part of slab
	used     int // messages that the kernel has written since Reset
}

// ReceiverOptions are the options of a Receiver.
type ReceiverOptions struct {
	// Destinations: Destination, IsDuplicate and Sender.Reply use the address that was asked. The
	// socket has IP_PKTINFO or IPV6_RECVPKTINFO set.
	Destinations bool
	// GRO: a message may be a GRO batch, with a Segment. The socket has UDP_GRO set.
	GRO bool
	// DropDuplicates: Arrived does not count broadcasts and multicasts.
	DropDuplicates bool
	// Memory is for names and control messages, which Arrived reads, and with GRO also for the
	// message headers. Memory has at least ReceiverSpace bytes, and no other process can write to
	// Memory. nil: NewReceiver makes memory.
	Memory []byte
}

// NewReceiver lays out headers and a slab for batch messages of up to size bytes.
func NewReceiver(batch, size int, o ReceiverOptions) *Receiver {
	memory := o.Memory
	if memory == nil {
		memory = make([]byte, ReceiverSpace(batch))
	}
	space := 0
	if o.Destinations {
		space += destinationSpace
	}
	if o.GRO {
		space += segmentSpace
	}
	box := At[memoryHeader](memory, 0)
	box.batch.Store(0)
	box.space, box.gro, box.dropDuplicates = uint32(space), bit(o.GRO), bit(o.DropDuplicates)
	r := &Receiver{
		evidence: evidenceIn(memory, batch, space, o.GRO, o.DropDuplicates),
		iovs:     make([]unix.Iovec, batch),
		slab:     make([]byte, batch*size),
		size:     size,
		used:     batch,
	}
	if r.hdrs = r.evidence.headers; r.hdrs == nil {
		r.hdrs = make([]mmsghdr, batch)
	}
	clear(r.evidence.controls) // a write brings the pages in: see evidence
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

// Reset prepares the headers for the next Receive. Receive calls Reset too, without effect after a
// Reset. Arrived returns 0 after Reset: count the last batch before.
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

// Receive reads up to a batch. Unless flags has MSG_DONTWAIT, Receive waits for the first datagram,
// at most for the socket's SO_RCVTIMEO, and never for further datagrams. EAGAIN: no datagram came.
// The memory of the previous batch is reused.
//
// Receive is a raw system call: for the scheduler the thread runs Go code meanwhile, so the thread
// keeps its P, and sysmon does not wake up to take the P. To stop the world the runtime signals the
// thread. The receive then fails with EINTR, since the kernel does not restart a receive with a
// timeout (signal(7)). The caller must pass a preemption point (runtime.Gosched) before the next
// call, or the world never stops. Without SO_RCVTIMEO flags must have MSG_DONTWAIT.
func (r *Receiver) Receive(fd, flags int) (int, error) {
	r.Reset()
	n, err := mmsg(unix.SYS_RECVMMSG, fd, r.hdrs, flags|unix.MSG_WAITFORONE)
	r.used = n
	return n, err
}

// Arrived returns the number of datagrams in the first n messages of the last batch: several for a
// GRO batch, and with DropDuplicates none for a broadcast or multicast.
func (r *Receiver) Arrived(n int) uint64 { return r.evidence.arrived(n) }

// Payload returns message i of the last batch. The capacity ends with the message's part of the
// slab.
func (r *Receiver) Payload(i int) []byte {
	at := i * r.size
	return r.slab[at : at+int(r.hdrs[i].len) : at+r.size]
}

// Truncated reports whether message i was longer than its part of the slab.
func (r *Receiver) Truncated(i int) bool { return r.hdrs[i].hdr.Flags&unix.MSG_TRUNC != 0 }

// HasSource reports whether message i has a sender. A socket after shutdown returns messages of
// length 0 without a sender (inet_recvmsg, Linux 6.18).
func (r *Receiver) HasSource(i int) bool { return r.hdrs[i].hdr.Namelen != 0 }

// Source returns the sender of message i, and the interface index of a link-local sender's zone,
// else 0.
func (r *Receiver) Source(i int) (netip.AddrPort, uint32) {
	name := &r.evidence.names[i]
	return name.addrPort(), name.scope()
}

// Destination returns the address that message i was sent to, or the zero Addr without
// ReceiverOptions.Destinations.
func (r *Receiver) Destination(i int) netip.Addr { return parseControl(r.controlOf(i)).destination }

// IsDuplicate reports whether message i was sent to a broadcast or multicast address. The kernel
// gives a duplicate of such a datagram to each socket of the port, also to each member of a
// SO_REUSEPORT group (__udp4_lib_mcast_deliver, Linux 6.18).
func (r *Receiver) IsDuplicate(i int) bool {
	control := parseControl(r.controlOf(i))
	return control.destination != control.local
}

// Segment returns the length of the datagrams in a GRO batch, of which the last may be shorter; 0
// if message i is one datagram.
func (r *Receiver) Segment(i int) int { return parseControl(r.controlOf(i)).segment }

// controlOf returns message i's control messages, as far as the kernel wrote them.
func (r *Receiver) controlOf(i int) []byte {
	at := i * r.evidence.space
	return r.evidence.controls[at : at+min(int(r.hdrs[i].hdr.Controllen), r.evidence.space)]
}
