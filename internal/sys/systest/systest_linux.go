// Package systest has the raw system calls that only tests need.
package systest

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
)

// SetThreadUser changes the user of the calling thread alone: setresuid(2). unix.Setresuid changes
// all threads of the process. The goroutine is locked to the thread, and never unlocked, so that the
// thread ends with the goroutine.
func SetThreadUser(uid int) error {
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid))
	if errno != 0 {
		return errno
	}
	return nil
}

// SendEmptyPacket sends a packet of no bytes over a SOCK_SEQPACKET socket: sendmsg(2) with control
// messages, of which there must be one. unix.Sendmsg and net.UnixConn add a byte.
func SendEmptyPacket(conn syscall.Conn, control []byte) error {
	return sys.Control(conn, func(fd int) error {
		header := unix.Msghdr{Control: &control[0]}
		header.SetControllen(len(control))
		_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&header)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}
