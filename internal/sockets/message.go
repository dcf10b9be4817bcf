package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Offsets into struct inet_diag_req_v2 (56 bytes) and struct inet_diag_msg (72 bytes), and
// attributes (include/uapi/linux/inet_diag.h, sock_diag.h). Ports and addresses are in network
// order, all else in host order.
const (
	sizeOfRequest     = 56
	requestFamily     = 0
	requestProtocol   = 1
	requestExtensions = 2
	requestStates     = 4
	requestSourcePort = 8

	sizeOfMessage  = 72
	messageFamily  = 0
	messageState   = 1
	messageSrcPort = 4
	messageDstPort = 6
	messageSrc     = 8
	messageDst     = 24
	messageIface   = 40
	messageCookie  = 44
	messageQueue   = 56
	messageUID     = 64
	messageInode   = 68

	attributeMemory = 7  // INET_DIAG_SKMEMINFO
	attributeV6Only = 11 // INET_DIAG_SKV6ONLY, of IPv6 sockets without peer

	memoryCharged = 0 // SK_MEMINFO_RMEM_ALLOC
	memoryBuffer  = 1 // SK_MEMINFO_RCVBUF
	memoryDrops   = 8 // SK_MEMINFO_DROPS
	memoryValues  = 9

	stateEstablished = 1  // TCP_ESTABLISHED: of UDP sockets, connected
	stateListen      = 10 // TCP_LISTEN (include/net/tcp_states.h)
)

// kind is a kind of sockets to ask for.
type kind struct {
	protocol uint8
	states   uint32 // a bit for each state
	module   string // kernel module with the diagnostics
}

var (
	udp       = kind{unix.IPPROTO_UDP, 1<<32 - 1, "udp_diag"}
	listening = kind{unix.IPPROTO_TCP, 1 << stateListen, "tcp_diag"}
)

// request asks for the sockets of a kind and a family with a port.
func request(k kind, family uint8, port uint16) []byte {
	b := make([]byte, sizeOfRequest)
	b[requestFamily] = family
	b[requestProtocol] = k.protocol
	b[requestExtensions] = 1 << (attributeMemory - 1)
	binary.NativeEndian.PutUint32(b[requestStates:], k.states)
	binary.BigEndian.PutUint16(b[requestSourcePort:], port)
	return b
}

// parse parses an answer. iface is an interface index, 0 for none.
func parse(b []byte) (s Socket, iface uint32, err error) {
	if len(b) < sizeOfMessage {
		return Socket{}, 0, fmt.Errorf("an answer of %d bytes, less than the %d of inet_diag_msg", len(b), sizeOfMessage)
	}
	family := b[messageFamily]
	if family != unix.AF_INET && family != unix.AF_INET6 {
		return Socket{}, 0, fmt.Errorf("an answer of the address family %d", family)
	}
	native := binary.NativeEndian
	s = Socket{
		Local:      addrPort(family, b[messageSrc:], b[messageSrcPort:]),
		Cookie:     uint64(native.Uint32(b[messageCookie:])) | uint64(native.Uint32(b[messageCookie+4:]))<<32,
		QueueBytes: native.Uint32(b[messageQueue:]),
		UID:        native.Uint32(b[messageUID:]),
		Inode:      native.Uint32(b[messageInode:]),
	}
	if b[messageState] == stateEstablished {
		s.Peer = addrPort(family, b[messageDst:], b[messageDstPort:])
	}
	attributes, err := netlink.NewAttributeDecoder(b[sizeOfMessage:])
	if err != nil {
		return Socket{}, 0, err
	}
	hasMemory := false
	for attributes.Next() {
		switch value := attributes.Bytes(); attributes.Type() {
		case attributeMemory:
			if len(value) < 4*memoryValues {
				return Socket{}, 0, errors.New("the kernel does not report the drops of a socket (SK_MEMINFO_DROPS): Linux 4.12 or later is needed")
			}
			hasMemory = true
			s.unreleased = int64(native.Uint32(value[4*memoryCharged:])) - int64(s.QueueBytes)
			s.BufferBytes = native.Uint32(value[4*memoryBuffer:])
			s.Drops = native.Uint32(value[4*memoryDrops:])
		case attributeV6Only:
			s.V6Only = len(value) > 0 && value[0] != 0
		}
	}
	if err := attributes.Err(); err != nil {
		return Socket{}, 0, err
	}
	if !hasMemory {
		return Socket{}, 0, errors.New("an answer without a socket's memory (INET_DIAG_SKMEMINFO)")
	}
	return s, native.Uint32(b[messageIface:]), nil
}

func addrPort(family uint8, addr, port []byte) netip.AddrPort {
	ip := netip.AddrFrom16([16]byte(addr))
	if family == unix.AF_INET {
		ip = netip.AddrFrom4([4]byte(addr))
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port))
}

// withZone adds the zone to a link-local address.
func withZone(a netip.AddrPort, zone string) netip.AddrPort {
	if ip := a.Addr(); ip.Is6() && ip.IsLinkLocalUnicast() {
		return netip.AddrPortFrom(ip.WithZone(zone), a.Port())
	}
	return a
}
