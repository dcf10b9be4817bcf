package sys

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SetReceiveBuffer requests a receive buffer of size bytes. Without privilege the kernel grants at
// most net.core.rmem_max, without an error. A buffer that a service manager has made larger than
// net.core.rmem_max is kept. largest returns MaxReceiveBuffer().
func SetReceiveBuffer(fd, size int, largest func() int) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		if granted, grantedErr := ReceiveBuffer(fd); grantedErr == nil && min(granted, size) >= largest() {
			return nil
		}
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err != nil {
		return fmt.Errorf("set the receive buffer to %d bytes: %w", size, err)
	}
	return nil
}

// MaxReceiveBuffer returns net.core.rmem_max, the maximum without privilege, or math.MaxInt if
// /proc does not show it.
func MaxReceiveBuffer() int {
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	if err != nil {
		return math.MaxInt
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return math.MaxInt
	}
	return n
}

// ReceiveBuffer returns the granted SO_RCVBUF in the unit of the request: the kernel doubles the
// number for its own overhead (socket(7)).
func ReceiveBuffer(fd int) (int, error) {
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, os.NewSyscallError("getsockopt SO_RCVBUF", err)
}
