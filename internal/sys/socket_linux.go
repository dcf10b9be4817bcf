package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Memory is what the kernel says of a socket's receive side.
type Memory struct {
	Queued  uint32 // bytes charged for datagrams that wait, overhead included
	Buffer  uint32 // bytes that may be charged: SO_RCVBUF as granted, which is twice what was asked
	Dropped uint32 // datagrams dropped at this socket since it was made; wraps
}

// SocketMemory asks SO_MEMINFO (Linux 4.12, net/core/sock.c). Any thread may
// ask at any time: unlike SO_RXQ_OVFL it does not wait for a datagram.
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
