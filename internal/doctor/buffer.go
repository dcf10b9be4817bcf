package doctor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/format"
	"github.com/udpshard/udpshard/internal/sys"
)

// grant asks for a receive buffer as serve does, on a socket of its own, and returns the size that
// the kernel granted, in the unit of bytes.
func grant(bytes int) (granted int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := sys.SetReceiveBuffer(fd, bytes, sys.MaxReceiveBuffer); err != nil {
		return 0, err
	}
	return sys.ReceiveBuffer(fd)
}

// EnlargeBuffers returns the command that lets the kernel grant receive buffers of a size, in bytes.
func EnlargeBuffers(size uint64) string {
	return fmt.Sprintf("sysctl -w net.core.rmem_max=%d", min(size, maxBuffer))
}

// maxBuffer is the largest receive buffer: the kernel doubles the size into an int32.
const maxBuffer = 1<<30 - 1

// receiveBuffer compares the size that sockets have, or would get, with the size that serve asks.
func (e *examination) receiveBuffer(r *results, l Listener) {
	asked := min(l.ReceiveBuffer, maxBuffer)
	enlarge := EnlargeBuffers(uint64(asked))
	most, err := number(e.Proc, "sys/net/core/rmem_max")
	known := err == nil
	limit := "net.core.rmem_max can't be read here"
	if known {
		limit = "net.core.rmem_max is " + format.Size(most)
	}
	wanted := format.Size(uint64(l.ReceiveBuffer))

	var least uint64 // of the instance's sockets
	for _, s := range e.ownSockets(l) {
		if buffer := uint64(s.BufferBytes) / 2; least == 0 || buffer < least {
			least = buffer
		}
	}
	has := format.Size(least)
	chosen := known && least != most // by the instance's settings, not by the limit
	switch {
	case least >= uint64(asked):
		r.ok("at least %s a socket, %s asked", has, wanted)
		return
	case least > 0 && chosen && l.DefaultReceiveBuffer:
		r.ok("at least %s a socket, as the instance asked; the default is %s", has, wanted)
		return
	case least > 0 && chosen:
		r.warn(e.orRestart("", fmt.Sprintf("with --receive-buffer %d", l.ReceiveBuffer)),
			"sockets have %s, not %s: the instance asked for less, since %s", has, wanted, limit)
		return
	case least > 0:
		r.warn(enlarge, "sockets have %s, not %s: %s; a larger limit takes effect at the next start", has, wanted, limit)
		return
	}
	granted, err := e.Grant(asked)
	switch {
	case err != nil:
		r.skip("asking for %s failed: %v", wanted, err)
	case granted < asked:
		r.warn(enlarge, "a socket gets %s of %s asked: %s, and bursts are dropped sooner", format.Size(uint64(granted)), wanted, limit)
	case known && most < uint64(asked):
		r.ok("%s a socket by privilege (CAP_NET_ADMIN); without the privilege %s: %s", wanted, format.Size(most), enlarge)
	default:
		r.ok("%s a socket, as asked", wanted)
	}
}
