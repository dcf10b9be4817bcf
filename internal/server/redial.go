package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

const (
	redialPause    = 5 * time.Millisecond
	maxRedialPause = time.Second // where who answers has nothing that is of use, again and again
	// meetPatience is how long whoever has taken over may take to answer before
	// this process watches it by what it has of it: the least --standby-after.
	redialTimeout = 50 * time.Millisecond
)

// redial looks for the process that serves in the place of one that does not any
// more, or that does not answer. It returns who was met with again, ErrDisconnected when
// nobody lives who could be it, and else the cause of ctx.
func (s *server) redial(ctx context.Context, from *predecessor) error {
	told := false
	for pause := redialPause; ; {
		other, err := s.dialBriefly(ctx)
		switch {
		case other != nil:
			return retryError{takeover.ErrRedirected, other}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case from.counters.HandedOver():
			return retryError{error: errHandedOverElsewhere}
		case (err == nil || isSilent(err)) && from.hasEnded():
			return takeover.ErrDisconnected
		case err != nil && !isSilent(err) && !errors.As(err, new(retryError)):
			pause = min(2*pause, maxRedialPause)
			if !told {
				told = true
				s.log.Warn().Err(err).Msg("can't stand by for the process that answers: standing by with what the one before has left")
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dialBriefly is dial with a bound of seekPauseMost: a stopped process keeps the socket at the
// takeover path, and does not answer there.
func (s *server) dialBriefly(ctx context.Context) (*predecessor, error) {
	ctx, cancel := context.WithTimeout(ctx, maxRedialPause)
	defer cancel()
	return s.dial(ctx)
}

// isSilent returns whether a process has the takeover path and does not answer there.
func isSilent(err error) bool {
	return errors.Is(err, takeover.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded)
}

// errHandedOverElsewhere: what this process has of another one is of no more use, since that
// one has left in order, for one that this process has never met.
var errHandedOverElsewhere = errors.New("the process that served has handed over to another one, which is not to be found at the takeover path")

// hasEnded says whether the owner of the counters has ended: it does not have its
// claim.
func (l *predecessor) hasEnded() bool {
	claim, err := takeover.AcquireLease(l.counters.Control(), l.counters.Epoch())
	if err != nil {
		return false
	}
	claim.Release()
	return true
}

// stoppedOwner returns the epoch of an owner before that one who lives all the same:
// it was replaced while it did not run.
func (l *predecessor) stoppedOwner(epoch uint64) (at uint64, lives bool) {
	at, lives, err := takeover.LeaseHeldBelow(l.counters.Control(), epoch)
	if err != nil {
		l.log.Warn().Err(err).Msg("checking for live replaced processes failed")
	}
	return at, lives
}
