package shard

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// ReadSurplus handles what is queued at the surplus sockets, by the handlers of the shards.
func (g handle) ReadSurplus() error {
	for i, fd := range g.surplus {
		if err := g.shards[i%len(g.shards)].readQueue(fd); err != nil {
			return err
		}
	}
	return nil
}

// readQueue handles the queue of a socket, before the shard reads.
func (s *shard) readQueue(fd int) error {
	for {
		s.receiver.Reset()
		s.counters.BeginReceive()
		n, err := s.receiver.Receive(fd, unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			if err := s.processBatch(fd, n, time.Now()); err != nil {
				return err
			}
		case isEmpty(err):
			s.sink.Flush()
			return nil
		case isInterrupted(err):
		default:
			return os.NewSyscallError("recvmmsg", err)
		}
	}
}

// DetachSurplus makes the surplus sockets unreachable for senders.
func (g handle) DetachSurplus() (surplus int, err error) {
	for _, fd := range g.surplus {
		if g.fenced() {
			return 0, fmt.Errorf("%s: %w", g.address, engine.ErrFenced)
		}
		if err := sys.DetachSocket(fd); err != nil {
			return 0, err
		}
	}
	return len(g.surplus), nil
}

// CloseSurplus reads the surplus sockets to the end, and closes them.
func (g handle) CloseSurplus(closing func(metrics.Socket) error) error {
	if len(g.surplus) == 0 {
		return nil
	}
	if err := g.ReadSurplus(); err != nil {
		return err
	}
	// From the end: the kernel moves the last member of a group into the place of a closed member.
	for i := len(g.surplus) - 1; i >= 0; i-- {
		if err := closing(descriptor(g.surplus[i])); err != nil {
			return err
		}
		unix.Close(g.surplus[i])
		g.surplus = g.surplus[:i]
	}
	return g.attacher.reattach()
}
