package sys

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory is the memory and the drops of a socket's receive side.
type Memory struct {
	Queued  uint32 // bytes charged for waiting datagrams, with the kernel's overhead
	Buffer  uint32 // limit of these bytes: SO_RCVBUF as granted, twice the size that was asked
	Dropped uint32 // datagrams dropped at the socket since its creation; wraps
}

// SocketMemory asks SO_MEMINFO (Linux 4.12, net/core/sock.c). Any thread may ask at any time:
// SO_MEMINFO does not need a datagram, unlike SO_RXQ_OVFL.
func SocketMemory(fd int) (Memory, error) {
	// The indices of SK_MEMINFO_RMEM_ALLOC, _RCVBUF and _DROPS in
	// include/uapi/linux/sock_diag.h, and SK_MEMINFO_VARS.
	const queued, buffer, dropped, vars = 0, 1, 8, 9
	var info [vars]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return Memory{}, errno
	}
	return Memory{Queued: info[queued], Buffer: info[buffer], Dropped: info[dropped]}, nil
}

// SocketCookie returns the number of a socket. All duplicates have the same number, in every
// process, and the number is not used again until the next boot (SO_COOKIE, socket(7), Linux 4.12).
func SocketCookie(fd int) (uint64, error) {
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	return cookie, os.NewSyscallError("getsockopt SO_COOKIE", err)
}

// SocketFilter returns the number of instructions of the socket filter that is attached to a socket
// (SO_GET_FILTER, Linux 3.8, net/core/sock.c), 0 without a filter. A filter of extended BPF, whose
// instructions the kernel does not return (EACCES), counts as 1.
func SocketFilter(fd int) (instructions int, err error) {
	var none uint64 // not written to: for length 0 the kernel returns only the number
	size := uint32(0)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		uintptr(unsafe.Pointer(&none)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errors.Is(errno, unix.EACCES):
		return 1, nil
	case errno != 0:
		return 0, os.NewSyscallError("getsockopt SO_GET_FILTER", errno)
	}
	return int(size), nil
}
