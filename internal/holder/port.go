package holder

import (
	"sync"
	"time"

	"github.com/prometheus/procfs"
)

// portList is all UDP sockets of a family, by port.
type portList struct {
	read   time.Time
	byPort map[uint16]procfs.NetUDP
}

var ports struct {
	sync.Mutex
	ip4, ip6 portList
}

// SocketsOfPort returns the UDP sockets of a port, as /proc showed them at most maxAge before now. A
// dual-stack socket is an IPv6 socket. Callers share one list of all sockets, so that many callers
// with a maxAge cost one reading. Any goroutine may call SocketsOfPort.
func SocketsOfPort(port uint16, v6 bool, now time.Time, maxAge time.Duration) procfs.NetUDP {
	ports.Lock()
	defer ports.Unlock()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	list, read := &ports.ip4, fs.NetUDP
	if v6 {
		list, read = &ports.ip6, fs.NetUDP6
	}
	if list.byPort == nil || now.Sub(list.read).Abs() >= maxAge {
		list.read, list.byPort = now, make(map[uint16]procfs.NetUDP)
		lines, _ := read() // an error: no such list, as for IPv6 on a host without IPv6
		for _, line := range lines {
			port := uint16(line.LocalPort)
			list.byPort[port] = append(list.byPort[port], line)
		}
	}
	return list.byPort[port]
}
