package shard

import (
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
)

// filterGuard detaches socket filters that another process has attached to the group's sockets. A
// fenced process, or a process that hands over, may attach its closing filter after this group has
// begun to read: a signal can stop that process between its check for fencing and the attachment.
// The kernel would drop each datagram from then on.
type filterGuard struct {
	checked time.Time
	dropped []uint64 // by the kernel at the socket of each shard, at the last check
	failed  time.Time
}

const (
	// filterInterval is the interval of checks of a socket without drops. A socket with new drops
	// is checked at the same tick.
	filterInterval = time.Second
	// filterRetryInterval is the time after a filter could not be detached (EPERM:
	// SO_LOCK_FILTER).
	filterRetryInterval = 10 * time.Second
)

// check checks the group's sockets. Called by Run's goroutine.
func (f *filterGuard) check(g *Group, now time.Time) {
	if g.stopping.Load() || g.draining.Load() || g.quiescing.Load() || now.Sub(f.failed) < filterRetryInterval {
		return
	}
	if f.dropped == nil {
		f.dropped = make([]uint64, len(g.shards))
	}
	due := now.Sub(f.checked) >= filterInterval
	if due {
		f.checked = now
	}
	for i, s := range g.shards {
		dropped := s.counters.KernelDrops()
		if dropped == f.dropped[i] && !due {
			continue
		}
		f.dropped[i] = dropped
		if detached, err := s.detachFilter(); err != nil {
			f.failed = now
			g.emit(engine.Event{Filter: true, Err: fmt.Errorf("shard %d of %s: %w", s.counters.Index, g.address, err)})
		} else if detached {
			g.attacher.countFilter()
			g.emit(engine.Event{Filter: true, Change: steer.Change{Kind: steer.Unfiltering, Shard: s.counters.Index,
				Reason: "another process had attached a socket filter"}})
		}
	}
}

// detachFilter detaches the socket filter of the shard's socket, and reports whether there was one.
func (s *shard) detachFilter() (detached bool, err error) {
	instructions, err := sys.SocketFilter(s.fd)
	if err != nil || instructions == 0 {
		return false, err
	}
	return sys.DetachFilter(s.fd)
}
