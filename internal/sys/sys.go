// Package sys has the system calls that golang.org/x/sys/unix does not wrap, or wraps with an
// allocation for each message, and the only unsafe code of the module.
//
// A Receiver owns the message headers, names and slab for recvmmsg on a socket, and a Sender those
// for sendmmsg. Both allocate once and reuse the memory. Only one thread at a time may use a
// Receiver or Sender.
package sys

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) on 64-bit Linux.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// sockaddr has room for a struct sockaddr_in or sockaddr_in6 (ip(7),
// ipv6(7)). The family is in host order, the port and the address in network
// order.
type sockaddr [unix.SizeofSockaddrInet6]byte

func (sa *sockaddr) family() uint16 { return binary.NativeEndian.Uint16(sa[0:2]) }
func (sa *sockaddr) port() uint16   { return binary.BigEndian.Uint16(sa[2:4]) }

// addrPort returns the address without its zone. An IPv4-mapped address, which a dual-stack socket
// reports for an IPv4 sender, becomes an IPv4 address.
func (sa *sockaddr) addrPort() netip.AddrPort {
	if sa.family() == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), sa.port())
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])).Unmap(), sa.port())
}

// scope returns the interface index of a link-local IPv6 sender, else 0.
func (sa *sockaddr) scope() uint32 {
	if sa.family() == unix.AF_INET {
		return 0
	}
	return binary.NativeEndian.Uint32(sa[24:28])
}

// mmsg makes a recvmmsg or sendmmsg call, without telling the Go scheduler:
// see Receiver.Receive.
func mmsg(trap uintptr, fd int, hdrs []mmsghdr, flags int) (int, error) {
	n, _, errno := unix.RawSyscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(hdrs))), uintptr(len(hdrs)), uintptr(flags), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
