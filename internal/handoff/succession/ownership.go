package succession

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// becomeOwner makes this process the owner after the owner of an epoch, and listens at the takeover
// path. Of several processes, only the process with the lease of the next epoch listens at the
// path, before the epoch changes: a process that sees the change can dial the new owner.
// becomeOwner does not wait for the path: see allowWithoutPath.
func (s *Succession) becomeOwner(p *Predecessor, epoch uint64, listen listenFunc) error {
	if p.Counters.HandedOver() {
		return Retry(errHandedOverElsewhere)
	}
	lease, err := takeover.AcquireLease(p.Counters.Control(), epoch+1)
	if err != nil {
		return err
	}
	if p.Counters.Epoch() == epoch {
		err = s.listenAt(listen)
		if err != nil && !isPathInUse(err) {
			err = s.allowWithoutPath(err, epoch)
		}
	}
	if err == nil && !p.Counters.AdvanceEpoch(epoch) {
		err = takeover.ErrLeaseHeld
	}
	if err != nil {
		lease.Release()
		if s.path != nil {
			s.path.Close()
			s.path = nil
		}
		return err
	}
	s.predecessorLeases = append(s.predecessorLeases, lease)
	s.peerStandbys = p.peerRegistrations(epoch + 1)
	return nil
}

// retryBecomeOwner calls try until this process is the owner. The error is a RetryError if replaced
// returns true, because a peer is the owner, or after leasePatience or standbyLeasePatience.
func (s *Succession) retryBecomeOwner(
	ctx context.Context, replaced func(context.Context) (*Predecessor, bool), try func() error,
) error {
	patience := leasePatience
	if s.Standby {
		patience = standbyLeasePatience
	}
	for began := time.Now(); ; {
		err := try()
		if !errors.Is(err, takeover.ErrLeaseHeld) && !isPathInUse(err) {
			return err
		}
		if answered, is := replaced(ctx); is || time.Since(began) > patience {
			return RetryError{fmt.Errorf("another process is active or takes over now, "+
				"and does not answer at %s: %w", s.Path, err), answered}
		}
		select {
		case <-time.After(leasePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dialActive returns the process that answers at the takeover path. A process shortly before its
// end may accept the connection, but does not answer.
func (s *Succession) dialActive(ctx context.Context) (answered *Predecessor, is bool) {
	answered, err := s.Dial(ctx)
	return answered, err == nil && answered != nil
}

// becomeOwnerAfter makes this process the owner of counters after an owner that has committed the
// handover: see takeover.Lease. A standby without news of the handover may have the lease of the
// next epoch for a moment.
func becomeOwnerAfter(counters *metrics.SharedCounters, epoch uint64) (*takeover.Lease, error) {
	lease, err := takeover.AcquireLease(counters.Control(), epoch+1)
	deadline := time.Now().Add(standbyLeasePatience)
	for errors.Is(err, takeover.ErrLeaseHeld) && time.Now().Before(deadline) {
		time.Sleep(leasePause)
		lease, err = takeover.AcquireLease(counters.Control(), epoch+1)
	}
	if err != nil {
		return nil, err
	}
	// The mark comes before the epoch: a standby that sees the new epoch finds the mark, and does
	// not take this process for the successor of a dead process.
	if counters.Epoch() == epoch {
		counters.MarkHandedOver()
	}
	if !counters.AdvanceEpoch(epoch) {
		lease.Release()
		return nil, fmt.Errorf("epoch %d: %w", epoch+1, takeover.ErrLeaseHeld)
	}
	return lease, nil
}
