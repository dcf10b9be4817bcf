package sys

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What of a datagram an interface's receive hash covers, and of which
// datagrams (include/uapi/linux/ethtool.h).
const (
	HashSourceAddress      = 1 << 4 // RXH_IP_SRC, ethtool's s
	HashDestinationAddress = 1 << 5 // RXH_IP_DST, d
	HashSourcePort         = 1 << 6 // RXH_L4_B_0_1, f
	HashDestinationPort    = 1 << 7 // RXH_L4_B_2_3, n

	FlowUDP4 = 0x02 // UDP_V4_FLOW
	FlowUDP6 = 0x06 // UDP_V6_FLOW
)

// Channels are an interface's queues: in use, and the most that it can have.
type Channels struct{ Receive, MostReceive, Combined, MostCombined int }

// The three below take any socket of the network namespace, and the name of
// an interface. They ask what needs no privilege (dev_ethtool, Linux 6.18);
// EOPNOTSUPP means that the driver does not tell.

// FlowHash returns the fields that are hashed for a kind of flow
// (ETHTOOL_GRXFH), 0 where none are.
func FlowHash(fd int, name string, flow uint32) (uint64, error) {
	var r struct { // struct ethtool_rxnfc; the kernel writes no more than data
		cmd, flow uint32
		data      uint64
		_         [240]byte // the rest of it, for kernels that copy it whole
	}
	r.cmd, r.flow = unix.ETHTOOL_GRXFH, flow
	err := ethtool(fd, name, unsafe.Pointer(&r))
	return r.data, err
}

// InterfaceChannels asks ETHTOOL_GCHANNELS.
func InterfaceChannels(fd int, name string) (Channels, error) {
	var r struct { // struct ethtool_channels
		cmd, maxReceive, maxSend, maxOther, maxCombined uint32
		receive, send, other, combined                  uint32
	}
	r.cmd = unix.ETHTOOL_GCHANNELS
	err := ethtool(fd, name, unsafe.Pointer(&r))
	return Channels{int(r.receive), int(r.maxReceive), int(r.combined), int(r.maxCombined)}, err
}

// ReceiveRing returns the slots of each of an interface's receive rings, and
// the most that they can have (ETHTOOL_GRINGPARAM).
func ReceiveRing(fd int, name string) (slots, most int, err error) {
	var r struct { // struct ethtool_ringparam
		cmd, maxReceive, maxMini, maxJumbo, maxSend uint32
		receive, mini, jumbo, send                  uint32
	}
	r.cmd = unix.ETHTOOL_GRINGPARAM
	err = ethtool(fd, name, unsafe.Pointer(&r))
	return int(r.receive), int(r.maxReceive), err
}

// ethtool makes the ioctl SIOCETHTOOL (netdevice(7)).
func ethtool(fd int, name string, data unsafe.Pointer) error {
	if len(name) >= unix.IFNAMSIZ {
		return unix.ENODEV
	}
	var request struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:], name)
	request.data = data
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(data)
	if errno != 0 {
		return errno
	}
	return nil
}
