package engine

import (
	"os"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// Adopt makes groups the owners of their inherited sockets, after the predecessor has stopped
// reading: it sets socket options, opens the sockets of additional shards, and puts the steering
// of the groups into force. A group with as many sockets as its predecessor keeps the steering
// program of the predecessor until Run. Groups without inherited sockets are unchanged.
//
// Until DrainSurplus the predecessor may continue instead: queues are untouched.
func Adopt[G Handle](groups []G) error {
	surplus := 0
	for _, g := range groups {
		n, err := g.AdoptSockets()
		if err != nil {
			return err
		}
		surplus += n
	}
	if surplus == 0 {
		return nil
	}
	return awaitDelivery()
}

// DrainSurplus handles what is queued at the surplus sockets of groups, and closes these sockets.
// It is called after Adopt and before Run, once the predecessor can't continue. closing is called
// with each socket before its end, for the last count of its drops:
// metrics.Inheritance.AddSurplusDrops.
//
// No datagram is sent to a surplus socket any more: the steering program in force knows only the
// sockets of the shards.
func DrainSurplus[G Handle](closing func(metrics.Socket) error, groups []G) error {
	for _, g := range groups {
		if err := g.ReadSurplus(); err != nil {
			return err
		}
	}
	surplus := 0
	for _, g := range groups {
		n, err := g.DetachSurplus()
		if err != nil {
			return err
		}
		surplus += n
	}
	if surplus == 0 {
		return nil
	}
	if err := awaitDelivery(); err != nil {
		return err
	}
	for _, g := range groups {
		if err := g.CloseSurplus(closing); err != nil {
			return err
		}
	}
	return nil
}

// awaitDelivery waits until each datagram that the kernel was delivering to a socket when
// awaitDelivery was called is in that socket's queue. membarrier(2), MEMBARRIER_CMD_GLOBAL, is
// synchronize_rcu in the kernel: it ends after all receive paths that have begun before, some
// 10 ms later. No shard reads meanwhile, so one call serves all groups.
func awaitDelivery() error {
	_, err := sys.Membarrier(sys.MembarrierGlobal)
	return os.NewSyscallError("membarrier", err)
}
