package sys

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A dual-stack socket reports an IPv4 datagram's destination twice, as
// in6_pktinfo and as in_pktinfo (udpv6_recvmsg, Linux 6.18); a control buffer
// has room for both. Less room would set MSG_CTRUNC and lose the second.
const (
	cmsgHeader  = unix.SizeofCmsghdr
	pktinfo4    = unix.SizeofInet4Pktinfo // ifindex, spec_dst, addr (ip(7))
	pktinfo6    = unix.SizeofInet6Pktinfo // addr, ifindex (ipv6(7))
	controlSize = (cmsgHeader+pktinfo6+7)&^7 + (cmsgHeader+pktinfo4+7)&^7
)

// parseControl returns the address that was asked, and the one that an answer
// leaves from: the same, except that broadcasts and multicasts are answered
// from an address of the host. The zero Addr stands for unknown, and as the
// answer's for the kernel's choice.
func parseControl(c []byte) (asked, local netip.Addr) {
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
			return netip.AddrFrom4([4]byte(data[8:12])), netip.AddrFrom4([4]byte(data[4:8]))
		case level == unix.SOL_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= pktinfo6:
			asked = netip.AddrFrom16([16]byte(data[:16])).Unmap()
			local = asked
			if asked.IsMulticast() {
				local = netip.Addr{}
			}
		}
		c = c[min((size+7)&^7, len(c)):]
	}
	return asked, local
}

// putControl writes the control message that makes an answer leave from
// local, and returns its length: 0 for the zero Addr. The interface index
// stays 0, so that routing chooses the way back.
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
