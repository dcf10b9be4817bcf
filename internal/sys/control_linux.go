package sys

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Bytes of control messages, padding included. A dual-stack socket reports an IPv4 datagram's
// destination twice, as in6_pktinfo and as in_pktinfo (udpv6_recvmsg, Linux 6.18), so the buffer
// has room for both; less would set MSG_CTRUNC and lose the second.
const (
	cmsgHeader       = unix.SizeofCmsghdr
	pktinfo4         = unix.SizeofInet4Pktinfo // ifindex, spec_dst, addr (ip(7))
	pktinfo6         = unix.SizeofInet6Pktinfo // addr, ifindex (ipv6(7))
	destinationSpace = (cmsgHeader+pktinfo6+7)&^7 + (cmsgHeader+pktinfo4+7)&^7
	segmentSpace     = (cmsgHeader + 4 + 7) &^ 7 // an int (udp(7), UDP_GRO)
)

// control is the content of a message's control messages.
type control struct {
	destination netip.Addr // destination of the datagram; zero: unknown
	local       netip.Addr // source of a reply; zero: the kernel's choice
	segment     int        // bytes of each segment of a GRO batch but the last; 0: one datagram
}

// parseControl parses control messages. destination and local are equal, except for broadcasts and
// multicasts, whose replies leave from an address of the host.
func parseControl(c []byte) (parsed control) {
	for len(c) >= cmsgHeader {
		size := int(binary.NativeEndian.Uint64(c[0:8]))
		level := int32(binary.NativeEndian.Uint32(c[8:12]))
		kind := int32(binary.NativeEndian.Uint32(c[12:16]))
		if size < cmsgHeader || size > len(c) {
			break
		}
		data := c[cmsgHeader:size]
		switch {
		case level == unix.SOL_IP && kind == unix.IP_PKTINFO && len(data) >= pktinfo4:
			parsed.destination = netip.AddrFrom4([4]byte(data[8:12]))
			parsed.local = netip.AddrFrom4([4]byte(data[4:8]))
			if parsed.local.IsUnspecified() {
				parsed.local = replySource(parsed.destination)
			}
		case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= pktinfo6 && !parsed.destination.Is4():
			parsed.destination = netip.AddrFrom16([16]byte(data[:16])).Unmap()
			parsed.local = replySource(parsed.destination)
		case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
			parsed.segment = int(int32(binary.NativeEndian.Uint32(data)))
		}
		c = c[min((size+7)&^7, len(c)):]
	}
	return parsed
}

// replySource is the local address where the kernel reports none: always over IPv6, and over IPv4
// for a datagram that was queued before IP_PKTINFO was set, as on a socket that a service manager has
// opened (ipv4_pktinfo_prepare, Linux 6.18). A broadcast to a subnet then counts as an address of
// the host.
func replySource(destination netip.Addr) netip.Addr {
	if destination.IsMulticast() || destination == limitedBroadcast {
		return netip.Addr{}
	}
	return destination
}

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// putControl writes the control message that makes a reply leave from local, and returns the length
// of the message, 0 for the zero Addr. The interface index is 0, so that routing chooses the
// interface.
func putControl(c []byte, local netip.Addr) int {
	var level, kind uint32
	var data int
	switch {
	case local.Is4():
		level, kind, data = unix.SOL_IP, unix.IP_PKTINFO, pktinfo4
	case local.Is6():
		level, kind, data = unix.SOL_IPV6, unix.IPV6_PKTINFO, pktinfo6
	default:
		return 0
	}
	space := (cmsgHeader + data + 7) &^ 7
	clear(c[:space])
	binary.NativeEndian.PutUint64(c[0:8], uint64(cmsgHeader+data))
	binary.NativeEndian.PutUint32(c[8:12], level)
	binary.NativeEndian.PutUint32(c[12:16], kind)
	if local.Is4() {
		addr := local.As4()
		copy(c[cmsgHeader+4:], addr[:])
	} else {
		addr := local.As16()
		copy(c[cmsgHeader:], addr[:])
	}
	return space
}
