package shard

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/sys"
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
// largest returns sys.MaxReceiveBuffer().
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
	return sys.SetReceiveBuffer(fd, min(c.ReceiveBuffer, maxReceiveBuffer-1), largest)
}

// wantsDestinations reports whether a shard's socket must report destination addresses: only for a
// wildcard address, for replies, and for the multicast duplicates of all shards but shard 0.
func (c Config) wantsDestinations(at address, shard int) bool {
	return at.Addr().IsUnspecified() && (!c.OneWay || shard > 0)
}
