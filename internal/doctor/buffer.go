package doctor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/format"
)

// grant asks for a receive buffer as serve does, on a socket of its own, and
// returns what the kernel granted, in the unit of what was asked.
func grant(bytes int) (granted int, forced bool, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	forced = err == nil
	if errors.Is(err, unix.EPERM) {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	if err != nil {
		return 0, false, os.NewSyscallError("setsockopt", err)
	}
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, forced, os.NewSyscallError("getsockopt", err)
}

// mostBuffer is what the kernel takes of 1 GiB: it doubles it into an int32.
const mostBuffer = 1<<30 - 1

// receiveBuffer compares what sockets have, or would get, with what is asked.
func (e *examination) receiveBuffer(l Listener) []Finding {
	const c check = "receive buffer"
	asked := min(l.ReceiveBuffer, mostBuffer)
	enlarge := fmt.Sprintf("sysctl -w net.core.rmem_max=%d", asked)
	most, err := number(e.Proc, "sys/net/core/rmem_max")
	known := err == nil
	allows := "net.core.rmem_max can't be read here"
	if known {
		allows = "net.core.rmem_max is " + format.Size(most)
	}

	var has uint64
	for _, s := range e.ownAt(l) {
		if buffer := uint64(s.BufferBytes) / 2; has == 0 || buffer < has {
			has = buffer
		}
	}
	wanted := format.Size(uint64(l.ReceiveBuffer))
	switch {
	case has >= uint64(asked):
		return []Finding{c.ok("%s a socket at least, %s asked", format.Size(has), wanted)}
	case has > 0 && known && has != most && l.DefaultReceiveBuffer:
		return []Finding{c.ok("%s a socket at least, as they were made: %s is the default", format.Size(has), wanted)}
	case has > 0 && known && has != most:
		return []Finding{c.warn(e.orRestart("", fmt.Sprintf("with --receive-buffer %d", l.ReceiveBuffer)), "sockets there have %s, not %s: they were made with less, for %s", format.Size(has), wanted, allows)}
	case has > 0:
		return []Finding{c.warn(enlarge, "sockets there have %s, not %s: %s; a larger one counts from the next start on", format.Size(has), wanted, allows)}
	}

	granted, forced, err := e.Grant(asked)
	switch {
	case err != nil:
		return []Finding{c.skip("%s can't be asked for: %v", wanted, err)}
	case granted < asked:
		return []Finding{c.warn(enlarge, "a socket gets %s of %s asked: %s, and bursts are dropped sooner", format.Size(uint64(granted)), wanted, allows)}
	case forced && known && most < uint64(asked):
		return []Finding{c.ok("%s a socket by privilege (CAP_NET_ADMIN); without it %s: sysctl -w net.core.rmem_max=%d", wanted, format.Size(most), asked)}
	}
	return []Finding{c.ok("%s a socket, as asked", wanted)}
}
