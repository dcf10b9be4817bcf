package sys

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Pause sleeps on the calling thread, without telling the Go scheduler. interrupted reports whether
// a signal ended the sleep early: then the caller must pass a preemption point, as after
// Receiver.Receive.
func Pause(d time.Duration) (interrupted bool) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_, _, errno := unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
	return errno == unix.EINTR
}
