package shard

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/holder"
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
	for _, line := range holder.SocketsOfPort(g.address.Port(), g.address.Addr().Is6(), now, maxAge) {
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
