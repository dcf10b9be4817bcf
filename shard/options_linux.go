package shard

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// option is one of a socket's that is a number.
type option struct {
	name             string
	level, opt, want int
}

func (o option) set(fd int) error {
	if err := unix.SetsockoptInt(fd, o.level, o.opt, o.want); err != nil {
		return fmt.Errorf("setsockopt %s to %d: %w", o.name, o.want, err)
	}
	return nil
}

// onlyIPv6 is the option that has to be set before a socket of IPv6 is bound,
// and can't be set afterwards (do_ipv6_setsockopt, Linux 6.18).
func onlyIPv6(at address) option {
	o := option{"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY, 1}
	if at.dual {
		o.want = 0
	}
	return o
}

// setOptions sets what a shard's socket needs, bound or not. An inherited one
// is the other process's too: it is left alone until that has stopped reading. largest is
// largestBuffer, or remembers what that has returned for another socket.
func setOptions(fd int, c Config, at address, shard int, largest func() int) error {
	var options []option
	if c.wantsDestinations(at, shard) {
		if at.Addr().Is6() {
			options = append(options, option{"IPV6_RECVPKTINFO", unix.SOL_IPV6, unix.IPV6_RECVPKTINFO, 1})
		}
		if at.Addr().Is4() || at.dual {
			options = append(options, option{"IP_PKTINFO", unix.SOL_IP, unix.IP_PKTINFO, 1})
		}
	}
	if c.GRO {
		options = append(options, option{"UDP_GRO", unix.SOL_UDP, unix.UDP_GRO, 1})
	}
	for _, o := range options {
		if err := o.set(fd); err != nil {
			return err
		}
	}
	wait := unix.NsecToTimeval(turn.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return fmt.Errorf("setsockopt SO_RCVTIMEO to %s: %w", turn, err)
	}
	return setReceiveBuffer(fd, c.ReceiveBuffer, largest)
}

// wantsDestinations says whether a shard's socket must tell which address was
// asked. Elsewhere than on the wildcard that is the one it is bound to. Who
// does not reply has to know it for telling its copies of broadcasts.
func (c Config) wantsDestinations(at address, shard int) bool {
	return at.Addr().IsUnspecified() && (!c.OneWay || shard > 0)
}

// setReceiveBuffer asks for size bytes with privilege, and without it for as
// many as net.core.rmem_max allows, which the kernel grants without a word. One
// that is larger than that already, as a service manager may have made it, is
// not shrunk for want of privilege.
func setReceiveBuffer(fd, size int, largest func() int) error {
	size = min(size, maxReceiveBuffer-1)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		if had, hadErr := grantedBuffer(fd); hadErr == nil && min(had, size) >= largest() {
			return nil
		}
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err != nil {
		return fmt.Errorf("set the receive buffer to %d bytes: %w", size, err)
	}
	return nil
}

// largestBuffer is what the kernel grants without privilege, and so much that
// nothing is larger where it does not say.
func largestBuffer() int {
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

// grantedBuffer returns what the kernel granted, in the unit of what was
// asked: it doubles the number for its own overhead (socket(7)).
func grantedBuffer(fd int) (int, error) {
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, os.NewSyscallError("getsockopt SO_RCVBUF", err)
}
