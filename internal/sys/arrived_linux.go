package sys

import (
	"sync/atomic"
	"unsafe"
)

// The evidence of a Receiver: datagrams that a killed thread had taken off the queue, and not
// counted.
//
// Source: do_recvmmsg and ____sys_recvmsg, net/socket.c, Linux 2.6.33 to 6.18; signal(7). For each
// message the kernel writes the sender's name, then the control messages, and then the length,
// before the kernel takes the next message. A signal, SIGKILL included, ends a thread only on its
// way back to user mode, so the names never lag behind the queue. If the copy of a message fails,
// since a page can't be brought in, the kernel counts the message as dropped at the socket
// (udp_recvmsg, sk_drops). Effect: the number of messages is lost with the thread, the names are
// not. Choice: names and control messages are in memory that outlives the process. Reset clears
// them, and a name with an address family is a message of the last receive. The message headers
// have pointers that the kernel follows, and are private. Only with GRO the headers are in that
// memory too, since only a header has the length of a GRO batch: such memory must be ReadOnly for
// other processes. All pages are written to beforehand: a page fault could fail after a message was
// taken.

// memoryHeader is the begin of a Receiver's memory. Behind are batch headers, batch times
// controlSpace bytes of control messages, and batch names.
type memoryHeader struct {
	batch          atomic.Uint32 // 0: not laid out; set last
	space          uint32        // bytes of control messages for each message
	gro            uint32        // 1: a message may be several datagrams, and headers are here
	dropDuplicates uint32        // 1: broadcasts and multicasts do not count
	_              [48]byte      // so that each header, of 64 bytes, begins a cache line
}

const (
	memoryHeaderSize = int(unsafe.Sizeof(memoryHeader{}))
	headerSize       = int(unsafe.Sizeof(mmsghdr{}))
	nameSize         = int(unsafe.Sizeof(sockaddr{}))
	controlSpace     = destinationSpace + segmentSpace
)

// ReceiverSpace returns the size of a Receiver's memory for a batch, in bytes.
func ReceiverSpace(batch int) int {
	return memoryHeaderSize + batch*(headerSize+controlSpace+nameSize)
}

// evidence is the part of a Receiver that Arrived reads, in memory that may outlive the process.
type evidence struct {
	names    []sockaddr
	controls []byte // space bytes for each message
	space    int
	headers  []mmsghdr // nil without GRO

	dropDuplicates bool
}

// evidenceIn returns the evidence of a batch in memory of ReceiverSpace bytes.
func evidenceIn(memory []byte, batch, space int, gro, dropDuplicates bool) evidence {
	at := memoryHeaderSize + batch*headerSize
	e := evidence{
		names:    unsafe.Slice(At[sockaddr](memory, at+batch*controlSpace), batch),
		controls: memory[at : at+batch*controlSpace],
		space:    space,

		dropDuplicates: dropDuplicates,
	}
	if gro {
		e.headers = unsafe.Slice(At[mmsghdr](memory, memoryHeaderSize), batch)
	}
	return e
}

// reset clears message i.
func (e *evidence) reset(i int) {
	e.names[i][0], e.names[i][1] = 0, 0
	if e.headers != nil || e.dropDuplicates {
		clear(e.controls[i*e.space:][:e.space])
	}
}

// arrived counts the datagrams of the first n messages, up to the first message without a sender:
// see Receiver.HasSource.
func (e *evidence) arrived(n int) (datagrams uint64) {
	for i := range e.names[:n] {
		if e.names[i].family() == 0 {
			break
		}
		if e.headers == nil && !e.dropDuplicates {
			datagrams++
			continue
		}
		control := parseControl(e.controls[i*e.space:][:e.space])
		switch {
		case e.dropDuplicates && control.destination != control.local:
		case e.headers != nil && control.segment > 0 && e.headers[i].len > 0:
			datagrams += (uint64(e.headers[i].len) + uint64(control.segment) - 1) / uint64(control.segment)
		default:
			datagrams++
		}
	}
	return datagrams
}

// Arrived returns the number of datagrams that the last call of a Receiver has taken off the
// queue, from the Receiver's memory. Call it when the Receiver's thread has ended. Damaged memory
// makes the number wrong, without other harm.
func Arrived(memory []byte) uint64 {
	if len(memory) < memoryHeaderSize {
		return 0
	}
	box := At[memoryHeader](memory, 0)
	batch, space := int(box.batch.Load()), int(box.space)
	if batch == 0 || space > controlSpace || batch > len(memory) || ReceiverSpace(batch) > len(memory) {
		return 0
	}
	e := evidenceIn(memory, batch, space, box.gro != 0, box.dropDuplicates != 0)
	return e.arrived(batch)
}
