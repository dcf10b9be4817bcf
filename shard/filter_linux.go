package shard

import (
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
)

// filterWatch detaches socket filters that other processes have attached to a group's sockets.
// A process that has the same sockets, since it was replaced or hands over, may attach its
// closing filter after this group has begun to read: it can be stopped by a signal between
// asking whether it was replaced and attaching. Every datagram would be dropped from then on.
type filterWatch struct {
	looked  time.Time
	dropped []uint64 // by the kernel at each shard's socket, when it was looked at last
	failed  time.Time
}

const (
	// filterEvery is how often sockets are looked at to which nothing comes. Where datagrams
	// are dropped, as a filter does, sockets are looked at in the same tick.
	filterEvery = time.Second
	// filterRetry is how long a filter that can't be detached (EPERM: SO_LOCK_FILTER) is left.
	filterRetry = 10 * time.Second
)

// step looks at the group's sockets, where that is due. Called by Run's goroutine.
func (w *filterWatch) step(g *Group, now time.Time) {
	if g.stopping.Load() || g.leaving.Load() || g.yielding.Load() || now.Sub(w.failed) < filterRetry {
		return
	}
	if w.dropped == nil {
		w.dropped = make([]uint64, len(g.shards))
	}
	due := now.Sub(w.looked) >= filterEvery
	if due {
		w.looked = now
	}
	for i, s := range g.shards {
		dropped := s.page.KernelDrops()
		if dropped == w.dropped[i] && !due {
			continue
		}
		w.dropped[i] = dropped
		if filtered, err := s.detachFilter(); err != nil {
			w.failed = now
			g.tell(engine.Event{Filter: true, Err: fmt.Errorf("shard %d of %s: %w", s.page.Index, g.address, err)})
		} else if filtered {
			g.steerer.countFilter()
			g.tell(engine.Event{Filter: true, Change: steer.Change{Kind: steer.Unfiltering, Shard: s.page.Index,
				Reason: "another process had attached a socket filter"}})
		}
	}
}

// detachFilter detaches the socket filter of the shard's socket, and says whether there was one.
func (s *shard) detachFilter() (filtered bool, err error) {
	instructions, err := sys.SocketFilter(s.fd)
	if err != nil || instructions == 0 {
		return false, err
	}
	return sys.DetachFilter(s.fd)
}

// Filtered says whether a socket filter is attached to the socket, by whichever process.
func (d descriptor) Filtered() bool {
	instructions, err := sys.SocketFilter(int(d))
	return err == nil && instructions > 0
}
