package sys

import (
	"sync/atomic"
	"unsafe"
)

// A Receiver's evidence: what a killed thread had taken off the queue, and not counted.
//
// Source: do_recvmmsg and ____sys_recvmsg, net/socket.c, Linux 2.6.33 to 6.18; signal(7).
// For each message the kernel writes the sender's name, then the control messages, and then
// the length, before it takes the next one. A signal, SIGKILL included, takes a thread only
// on its way back to user mode, so this never lags behind the queue. A message whose copy
// fails in between, since a page can't be brought in, the kernel counts as dropped at the
// socket itself (udp_recvmsg, sk_drops).
// What it does to us: the number of messages is lost with the thread, what was written is not.
// What we chose: names and control messages are laid out in memory that outlives the
// process; Reset clears them, and a name that has an address family since then is a message.
// The message headers have pointers that the kernel follows, and are private. Only where a
// message can be a train of datagrams are they in that memory too, since a train's length
// stands nowhere else: such memory must be ReadOnly to other processes. Everything is written
// to beforehand, since a page fault there could fail after a message was taken.

// mailbox begins a Receiver's memory. It is followed by batch headers, batch times
// controlSpace bytes of control messages, and batch names.
type mailbox struct {
	batch  atomic.Uint32 // 0: nobody has laid it out; set last
	space  uint32        // bytes of control messages to a message
	trains uint32        // 1: a message may be several datagrams, and headers are here
	copies uint32        // 1: broadcasts and multicasts do not count
	_      [48]byte      // so that each header, of 64 bytes, begins a line
}

const (
	mailboxSize  = int(unsafe.Sizeof(mailbox{}))
	headerSize   = int(unsafe.Sizeof(mmsghdr{}))
	nameSize     = int(unsafe.Sizeof(sockaddr{}))
	controlSpace = destinationSpace + segmentSpace
)

// ReceiverSpace returns how many bytes of memory a Receiver of so large a
// batch is laid out in.
func ReceiverSpace(batch int) int {
	return mailboxSize + batch*(headerSize+controlSpace+nameSize)
}

// evidence is what Arrived reads, in memory that may outlive the process.
type evidence struct {
	names    []sockaddr
	controls []byte // space bytes a message
	space    int
	headers  []mmsghdr // nil unless trains
	copies   bool
}

// evidenceIn is that of a batch in memory of ReceiverSpace bytes.
func evidenceIn(memory []byte, batch, space int, trains, copies bool) evidence {
	at := mailboxSize + batch*headerSize
	e := evidence{
		names:    unsafe.Slice(At[sockaddr](memory, at+batch*controlSpace), batch),
		controls: memory[at : at+batch*controlSpace],
		space:    space,
		copies:   copies,
	}
	if trains {
		e.headers = unsafe.Slice(At[mmsghdr](memory, mailboxSize), batch)
	}
	return e
}

// reset forgets message i.
func (e *evidence) reset(i int) {
	e.names[i][0], e.names[i][1] = 0, 0
	if e.headers != nil || e.copies {
		clear(e.controls[i*e.space:][:e.space])
	}
}

// arrived counts the datagrams of the first n messages, up to the first that did not come,
// or that nobody sent: see Receiver.Named.
func (e *evidence) arrived(n int) (datagrams uint64) {
	for i := range e.names[:n] {
		if e.names[i].family() == 0 {
			break
		}
		if e.headers == nil && !e.copies {
			datagrams++
			continue
		}
		said := parseControl(e.controls[i*e.space:][:e.space])
		switch {
		case e.copies && said.asked != said.local:
		case e.headers != nil && said.segment > 0 && e.headers[i].len > 0:
			datagrams += (uint64(e.headers[i].len) + uint64(said.segment) - 1) / uint64(said.segment)
		default:
			datagrams++
		}
	}
	return datagrams
}

// Arrived returns the number of datagrams that the last call of a Receiver has taken off the
// queue, from the Receiver's memory. Call it when the Receiver's thread has ended. Damaged memory
// makes the number wrong, and does no other harm.
func Arrived(memory []byte) uint64 {
	if len(memory) < mailboxSize {
		return 0
	}
	box := At[mailbox](memory, 0)
	batch, space := int(box.batch.Load()), int(box.space)
	if batch == 0 || space > controlSpace || batch > len(memory) || ReceiverSpace(batch) > len(memory) {
		return 0
	}
	e := evidenceIn(memory, batch, space, box.trains != 0, box.copies != 0)
	return e.arrived(batch)
}
