package sys

import "golang.org/x/sys/unix"

// Membarrier commands (include/uapi/linux/membarrier.h, membarrier(2)).
const (
	MembarrierQuery  = 0      // returns the commands that work, as bits
	MembarrierGlobal = 1 << 0 // Linux 4.3
)

// Membarrier makes the call of membarrier(2) without flags. Any thread may.
func Membarrier(command int) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, uintptr(command), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
