// Package engine is the internal side of package shard: what the server of this module needs of a
// shard.Group beyond the public API, so that sockets and counters outlive a process.
// shard.ListenManaged accepts Options and returns a Handle.
package engine

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

// Options complete a shard.Config. The zero Options open new sockets and count in memory of the
// group's own.
type Options struct {
	// Inherited are the sockets of a group in another process, which the new group continues:
	// Adopt makes the group their owner. Nil opens new sockets.
	Inherited *Inherited
	// Counters returns the counters of each shard: metrics.SharedCounters.Shard, where the counters
	// outlive the process. Nil is metrics.NewShard.
	Counters func(shard, cpu int) (*metrics.Shard, error)
	// Changes counts changes of steering, in the order of steer.Kinds:
	// metrics.SharedCounters.ListenerProtocolCounters, where the counters outlive the process.
	Changes []atomic.Uint64
	// Event is called by the goroutine of Run, which waits until Event returns. Event may call
	// the group.
	Event func(Event)
}

// Inherited are the sockets of a group in another process. The new group gets the same sockets,
// so that datagrams in their queues are kept.
type Inherited struct {
	// Sockets are in the order of the predecessor's shards. ListenManaged duplicates the
	// descriptors; the caller closes its own.
	Sockets []*os.File
	// Seed is the predecessor's Handle.Seed: with the same seed, flows stay at their shards.
	Seed uint32
}

// Event is a change of a group's steering or sockets, or the failure of a change.
type Event struct {
	Change steer.Change // unless Kind is empty
	Shared bool         // sockets of another process have joined: the kernel's hash chooses now
	Alone  bool         // these sockets are closed: steering is in force again
	Filter bool         // Change or Err is about the socket filter of a shard
	Err    error        // the change failed, and the state before stays
}

// ErrFenced: another process is the owner of the group's sockets and counters. It had found this
// process dead or stalled.
var ErrFenced = errors.New("another process has taken over the sockets")

// Handle controls a group. Any goroutine may call its methods, except where a method says when.
type Handle interface {
	// Sockets returns duplicates of the group's sockets, in the order of the shards, for
	// Inherited. The caller closes them.
	Sockets() ([]*os.File, error)
	// Seed returns the seed of the group's flow hash, for Inherited.
	Seed() uint32

	// Quiesce makes Run return nil as soon as each shard has handled its current batch and
	// flushed its sink. Sockets stay open, and their queues stay in the kernel, for the next Run
	// or for another process with the same sockets. Run does not return while a handler or an
	// output hangs: see Resume.
	Quiesce()
	// Resume cancels Quiesce. True: Run continues, shards that have stopped start again. False:
	// Run has returned, is about to return, or has not begun; after Run has returned, Run may be
	// called again.
	Resume() bool
	// Drain makes Run return, and close the sockets, once each shard has found its queue empty.
	// The kernel keeps queueing datagrams meanwhile, unlike after the end of Run's context: Drain
	// is for sockets that another process has too.
	Drain()

	// ReadingSince waits until all shards read, in the first Run, and returns when the last of
	// them began. If ctx ends before, the error is its cause.
	ReadingSince(ctx context.Context) (time.Time, error)
	// Accepts reports whether the admission policy accepts a datagram of source now, and counts
	// the call for the source's rate. It is for requests of the same service by other transports.
	Accepts(source netip.Addr) bool

	// The steps of Adopt and DrainSurplus, which call them for all groups. A surplus socket is an
	// inherited socket without a shard.

	// AdoptSockets sets the options of the inherited sockets, and opens a socket for each other
	// shard. It returns the number of surplus sockets.
	AdoptSockets() (surplus int, err error)
	// ReadSurplus handles what is queued at the surplus sockets.
	ReadSurplus() error
	// DetachSurplus makes the surplus sockets unreachable for senders, and returns their number.
	DetachSurplus() (surplus int, err error)
	// CloseSurplus reads the surplus sockets to the end, calls closing with each, and closes them.
	CloseSurplus(closing func(metrics.Socket) error) error
}
