package sys

import (
	"sync/atomic"
	"unsafe"
)

// What of a datagram's fate a Receiver can't say once its process is dead,
// its memory still does: the kernel has written the length of each message
// that it took off the queue into the message's header, also where the
// thread was killed before it came back to count them.
//
// Source: do_recvmmsg, net/socket.c, Linux 2.6.33 to 6.18; signal(7).
// It puts msg_len into the header of each message as soon as the message was
// copied, and a signal, SIGKILL included, takes a thread only on its way back
// to user mode, so the headers never lag behind the queue. A message whose
// copy fails in between, since a page of the slab can't be brought in, the
// kernel counts as dropped at the socket itself (udp_recvmsg, sk_drops).
// What it does to us: n is lost with the thread, the headers are not.
// What we chose: headers, and the control messages that say whether one
// message is several datagrams, or another socket's too, are laid out in
// memory that outlives the process; Reset puts a length into them that no
// message has. Names and control buffers are written to beforehand, since a
// page fault there could fail after a message was taken.

// mailbox begins a Receiver's memory. It is followed by batch headers, and
// then batch times controlSpace bytes of control messages.
type mailbox struct {
	batch  atomic.Uint32 // 0: nobody has laid it out; set last
	space  uint32        // bytes of control messages to a header
	trains uint32        // 1: a message may be several datagrams
	copies uint32        // 1: broadcasts and multicasts do not count
	_      [48]byte      // so that each header, of 64 bytes, begins a line
}

const (
	mailboxSize  = int(unsafe.Sizeof(mailbox{}))
	headerSize   = int(unsafe.Sizeof(mmsghdr{}))
	controlSpace = destinationSpace + segmentSpace

	// noMessage is in the header of a message that has not come. UDP says 65535
	// at the most, and a train is no longer (udp(7)).
	noMessage = 1<<32 - 1
)

// ReceiverSpace returns how many bytes of memory a Receiver of so large a
// batch is laid out in.
func ReceiverSpace(batch int) int { return mailboxSize + batch*(headerSize+controlSpace) }

// Arrived returns the datagrams that the last call of a Receiver has taken
// off the queue, as it is laid out in memory. It is for when the
// Receiver's thread is no more; whatever memory holds, only memory is read.
func Arrived(memory []byte) uint64 {
	if len(memory) < mailboxSize {
		return 0
	}
	box := At[mailbox](memory, 0)
	batch, space := int(box.batch.Load()), int(box.space)
	if batch == 0 || space > controlSpace || batch > len(memory) || ReceiverSpace(batch) > len(memory) {
		return 0
	}
	return arrived(headers(memory, batch), controls(memory, batch), space, box.trains != 0, box.copies != 0)
}

func headers(memory []byte, batch int) []mmsghdr {
	return unsafe.Slice(At[mmsghdr](memory, mailboxSize), batch)
}

func controls(memory []byte, batch int) []byte {
	return memory[mailboxSize+batch*headerSize:]
}

// arrived counts the datagrams of messages up to the first that did not come,
// or that nobody sent: see Receiver.Named.
func arrived(hdrs []mmsghdr, controls []byte, space int, trains, copies bool) (n uint64) {
	for i := range hdrs {
		h := &hdrs[i]
		if h.len == noMessage || h.hdr.Namelen == 0 {
			break
		}
		var said control
		if space > 0 && (trains || copies) {
			said = parseControl(controls[i*space:][:min(uint64(space), h.hdr.Controllen)])
		}
		switch size := uint64(h.len); {
		case copies && said.asked != said.local:
		case trains && said.segment > 0 && size > 0:
			n += (size + uint64(said.segment) - 1) / uint64(said.segment)
		default:
			n++
		}
	}
	return n
}
