package server

import (
	"context"
	"errors"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// errReloaded makes a standby start again with new settings.
var errReloaded = errors.New("reloaded")

// standBy waits until the active process hands over, ends or stalls, and then takes over. A
// RetryError means that the next attempt to start finds a new situation.
func (s *server) standBy(ctx context.Context, from *succession.Predecessor) error {
	s.changeRole(handoff.ActiveFound)
	if s.web != nil && !s.web.inherited {
		s.web.serve()
	}
	if from.Connected() {
		s.log.Info().EmbedObject(from.LogFields()).Str("version", from.Offer.Version).
			Msg("standby started")
		s.succession.Register(from)
	}
	s.loop.wasStandby = true
	s.service.standsBy(from.Process())

	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.succession.WaitPredecessor(waiting, from) }()
	watch := s.succession.Watch(from)
	defer watch.Ticker.Stop()
	stalled, restart := s.watchPredecessor(from, watch, ended)
	stop()
	err := <-ended
	switch {
	case restart != nil: // with the process that may have answered at this moment
		retry := succession.RetryError{}
		errors.As(err, &retry)
		return retry.WithReason(restart)
	case stalled != "" && errors.Is(err, context.Canceled):
		return s.succession.TakeOverStalled(ctx, watch, stalled)
	}
	return s.endStandby(ctx, from, err)
}

// watchPredecessor reloads the settings of a standby and watches the predecessor, until one of
// three events: WaitPredecessor has ended, and the result is in ended; a shard of the predecessor
// is stalled; or the standby has to start again for the reason of restart.
func (s *server) watchPredecessor(
	from *succession.Predecessor, watch *succession.Watch, ended chan error,
) (stalled string, restart error) {
	files := newReloader(s.log)
	defer func() {
		files.slow.Stop()
		s.loop.reloadPending = !files.began.IsZero()
	}()
	for {
		select {
		case err := <-ended:
			ended <- err
			return "", nil
		case now := <-watch.Ticker.C:
			if stalled, err := watch.Check(now); stalled != "" || err != nil {
				return stalled, err
			}
		case <-s.loop.signals.reload:
			s.service.reloading() // until standsBy
			files.begin(s.loadStandbySettings)
		case <-files.slow.C:
			files.logSlow()
		case next := <-files.done:
			switch again := files.end(); {
			case again:
				files.begin(s.loadStandbySettings)
			case next.err != nil:
				logRefused(s.log, next.err)
				s.setReloadResult(next.err)
				s.service.standsBy(from.Process())
			default:
				s.log.Info().Str("effect", "the standby opens what the new settings ask for").
					Msg("reload finished")
				s.config = next.next
				return "", errReloaded
			}
		}
	}
}

// loadStandbySettings reads the settings of a standby again. The next attempt to start uses the
// settings.
func (s *server) loadStandbySettings() (r loadedSettings) {
	r.requested = true
	r.next, r.err = s.Flags.Config()
	return r
}

// endStandby takes over when WaitPredecessor has ended with err, or returns a RetryError when
// another process is active.
func (s *server) endStandby(ctx context.Context, from *succession.Predecessor, err error) error {
	if err == nil {
		if err = s.succession.TakeOverStopping(ctx, from); err == nil {
			return nil
		}
	}
	switch {
	case errors.As(err, new(succession.RetryError)):
		return err
	case errors.Is(err, takeover.ErrRedirected):
		return succession.Retry(err)
	case errors.As(err, new(*takeover.RefusedError)): // the active process ends without a handover
		s.log.Warn().Err(err).Str("effect", "the standby waits for the end of the active process").
			Msg("takeover refused")
	case !errors.Is(err, takeover.ErrDisconnected):
		return err
	}
	return s.succession.TakeOverDead(ctx, from, metrics.TakeoverDied)
}
