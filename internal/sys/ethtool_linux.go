package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The fields of a datagram that an interface's receive hash covers, and the kinds of flow
// (include/uapi/linux/ethtool.h).
const (
	HashSourceAddress      = 1 << 4 // RXH_IP_SRC, ethtool's s
	HashDestinationAddress = 1 << 5 // RXH_IP_DST, d
	HashSourcePort         = 1 << 6 // RXH_L4_B_0_1, f
	HashDestinationPort    = 1 << 7 // RXH_L4_B_2_3, n

	FlowUDP4 = 0x02 // UDP_V4_FLOW
	FlowUDP6 = 0x06 // UDP_V6_FLOW
)

// Channels are the queues of an interface: those in use, and the most that the interface can have.
type Channels struct{ Receive, MostReceive, Combined, MostCombined int }

// FlowHash, InterfaceChannels and ReceiveRing ask the driver of an interface of this network
// namespace. No privilege is needed (dev_ethtool, Linux 6.18). EOPNOTSUPP means that the driver
// has no answer.

// FlowHash returns the fields that are hashed for a kind of flow (ETHTOOL_GRXFH), 0 for none.
func FlowHash(name string, flow uint32) (uint64, error) {
	var r struct { // struct ethtool_rxnfc; the kernel writes no more than data
		cmd, flow uint32
		data      uint64
		_         [240]byte // the rest of the struct, for kernels that copy the whole
	}
	r.cmd, r.flow = unix.ETHTOOL_GRXFH, flow
	err := ethtool(name, unsafe.Pointer(&r))
	return r.data, err
}

// InterfaceChannels returns the queues of an interface (ETHTOOL_GCHANNELS).
func InterfaceChannels(name string) (Channels, error) {
	var r struct { // struct ethtool_channels
		cmd, maxReceive, maxSend, maxOther, maxCombined uint32
		receive, send, other, combined                  uint32
	}
	r.cmd = unix.ETHTOOL_GCHANNELS
	err := ethtool(name, unsafe.Pointer(&r))
	return Channels{int(r.receive), int(r.maxReceive), int(r.combined), int(r.maxCombined)}, err
}

// ReceiveRing returns the slots of each receive ring of an interface, and the most slots that a
// ring can have (ETHTOOL_GRINGPARAM).
func ReceiveRing(name string) (slots, most int, err error) {
	var r struct { // struct ethtool_ringparam
		cmd, maxReceive, maxMini, maxJumbo, maxSend uint32
		receive, mini, jumbo, send                  uint32
	}
	r.cmd = unix.ETHTOOL_GRINGPARAM
	err = ethtool(name, unsafe.Pointer(&r))
	return int(r.receive), int(r.maxReceive), err
}

// ethtool makes the ioctl SIOCETHTOOL (netdevice(7)) on a socket of its own.
func ethtool(name string, data unsafe.Pointer) error {
	if len(name) >= unix.IFNAMSIZ {
		return unix.ENODEV
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
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
