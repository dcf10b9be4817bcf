package shard

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// isShared reports whether sockets of other groups or processes are bound to the group's address,
// as far as /proc shows, at most maxAge ago.
func (g *Group) isShared(now time.Time, maxAge time.Duration) bool {
	own := make(map[uint64]bool)
	fds := slices.Clone(g.surplus)
	for _, s := range g.shards {
		fds = append(fds, s.fd)
	}
	for _, fd := range fds {
		var stat unix.Stat_t
		if err := unix.Fstat(fd, &stat); err != nil {
			return false
		}
		own[stat.Ino] = true
	}
	for _, line := range socketsOfPort(g.address.Port(), g.address.Addr().Is6(), now, maxAge) {
		sameAddress := line.LocalAddr.Equal(g.address.Addr().AsSlice())
		if sameAddress && !own[line.Inode] && line.RemPort == 0 {
			return true
		}
	}
	return false
}

// portsMaxAge is the maximal age of a list of all UDP sockets that groups share: a list for each
// group would cost the square of the number of groups.
const portsMaxAge = time.Second

// portList is all UDP sockets of a family, by port.
type portList struct {
	read   time.Time
	byPort map[uint16]procfs.NetUDP
}

var ports struct {
	sync.Mutex
	ip4, ip6 portList
}

// socketsOfPort returns the UDP sockets of a port, as /proc showed them at most maxAge ago. A
// socket for IPv6 and IPv4 is an IPv6 socket. Hosts without IPv6 have no list of IPv6 sockets.
func socketsOfPort(port uint16, v6 bool, now time.Time, maxAge time.Duration) procfs.NetUDP {
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
		lines, _ := read()
		for _, line := range lines {
			port := uint16(line.LocalPort)
			list.byPort[port] = append(list.byPort[port], line)
		}
	}
	return list.byPort[port]
}
