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

// option is a numeric socket option.
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

// onlyIPv6 returns IPV6_V6ONLY, which can be set before bind only (do_ipv6_setsockopt, Linux 6.18).
func onlyIPv6(at address) option {
	o := option{"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY, 1}
	if at.dual {
		o.want = 0
	}
	return o
}

// setOptions sets the options of a shard's socket, before or after bind. The options of an
// inherited socket are the predecessor's too, and are set once the predecessor has stopped reading.
// largest returns largestBuffer().
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
	wait := unix.NsecToTimeval(receiveTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		return fmt.Errorf("setsockopt SO_RCVTIMEO to %s: %w", receiveTimeout, err)
	}
	return setReceiveBuffer(fd, c.ReceiveBuffer, largest)
}

// wantsDestinations reports whether a shard's socket must report destination addresses: only for a
// wildcard address, for replies, and for the multicast duplicates of all shards but shard 0.
func (c Config) wantsDestinations(at address, shard int) bool {
	return at.Addr().IsUnspecified() && (!c.OneWay || shard > 0)
}

// setReceiveBuffer requests size bytes. Without privilege the kernel grants at most
// net.core.rmem_max, without an error. A buffer that a service manager has made larger than
// net.core.rmem_max is kept.
func setReceiveBuffer(fd, size int, largest func() int) error {
	size = min(size, maxReceiveBuffer-1)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	if errors.Is(err, unix.EPERM) {
		if granted, grantedErr := grantedBuffer(fd); grantedErr == nil && min(granted, size) >= largest() {
			return nil
		}
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
	if err != nil {
		return fmt.Errorf("set the receive buffer to %d bytes: %w", size, err)
	}
	return nil
}

// largestBuffer returns net.core.rmem_max, the maximum without privilege, or math.MaxInt if /proc
// does not show it.
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

// grantedBuffer returns the granted SO_RCVBUF in the unit of the request: the kernel doubles the
// number for its own overhead (socket(7)).
func grantedBuffer(fd int) (int, error) {
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	return doubled / 2, os.NewSyscallError("getsockopt SO_RCVBUF", err)
}
