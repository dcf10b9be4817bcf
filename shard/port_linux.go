package shard

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// shared says whether the group has members that are not its own: sockets at
// the same address. What /proc does not show is not there.
func (g *Group) shared(now time.Time, age time.Duration) bool {
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
	for _, line := range socketsOf(g.address.AddrPort, now, age) {
		here := line.LocalAddr.Equal(g.address.Addr().AsSlice())
		if here && !own[line.Inode] && line.RemPort == 0 {
			return true
		}
	}
	return false
}

// portsAge is how old a list of all UDP sockets may be that groups use together: with a list of
// its own for each group, their cost would be the square of the number of groups.
const portsAge = time.Second

// ports are the UDP sockets of a family, by port.
type ports struct {
	read   time.Time
	byPort map[uint16]procfs.NetUDP
}

var (
	portsMu sync.Mutex
	ports4  ports
	ports6  ports
)

// socketsOf returns the UDP sockets with the port and the family of an address, as they were at
// most age ago.
func socketsOf(at netip.AddrPort, now time.Time, age time.Duration) procfs.NetUDP {
	portsMu.Lock()
	defer portsMu.Unlock()
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	known, read := &ports4, fs.NetUDP
	if at.Addr().Is6() {
		known, read = &ports6, fs.NetUDP6
	}
	if known.byPort == nil || now.Sub(known.read).Abs() >= age {
		known.read, known.byPort = now, make(map[uint16]procfs.NetUDP)
		lines, _ := read()
		for _, line := range lines {
			port := uint16(line.LocalPort)
			known.byPort[port] = append(known.byPort[port], line)
		}
	}
	return known.byPort[at.Port()]
}
