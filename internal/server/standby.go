package server

import (
	"context"
	"errors"
	"os"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// errReloaded: a standby has new settings.
var errReloaded = errors.New("reloaded")

// standBy waits until the active process hands over, ends or stalls, and takes over then.
func (s *server) standBy(ctx context.Context, reload <-chan os.Signal, from *succession.Predecessor) error {
	s.change(handoff.ActiveFound)
	if s.web != nil && !s.web.shared {
		s.web.serve()
	}
	if from.Connected() {
		s.log.Info().EmbedObject(from.LogFields()).Str("version", from.Offer.Version).Msg("standby started")
		s.succession.Register(from)
	}
	s.loop.wasStandby = true
	s.service.standsBy(from.Process())

	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.succession.WaitPredecessor(waiting, from) }()
	leave := func(why error) error { // with the process that has answered at this very moment
		stop()
		retry := succession.RetryError{}
		errors.As(<-ended, &retry)
		return retry.WithReason(why)
	}
	watch := s.succession.Watch(from)
	defer watch.Ticker.Stop()
	files := newReloader(s.log)
	defer func() {
		files.slow.Stop()
		s.loop.reloadPending = !files.began.IsZero()
	}()
	for {
		select {
		case err := <-ended:
			return s.endStandby(ctx, from, err)
		case now := <-watch.Ticker.C:
			stalled, err := watch.Check(now)
			if err != nil {
				return leave(err)
			}
			if stalled == "" {
				continue
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				return s.endStandby(ctx, from, err)
			}
			return s.succession.TakeOverStalled(ctx, watch, stalled)
		case <-reload:
			s.service.logError("a reload", s.service.unit.Reloading()) // standsBy ends it
			files.begin(s.loadStandbySettings)
		case <-files.slow.C:
			files.logSlow()
		case next := <-files.done:
			switch again := files.end(); {
			case again:
				files.begin(s.loadStandbySettings)
			case next.err != nil:
				logRefused(s.log, next.err)
				s.service.standsBy(from.Process())
			default:
				s.log.Info().Str("effect", "the standby opens what the new settings ask for").Msg("reload finished")
				err := leave(errReloaded)
				s.config = next.next
				return err
			}
		}
	}
}

// loadStandbySettings reads the settings of a standby again. The next attempt to start opens what
// the settings ask for.
func (s *server) loadStandbySettings() (r loadedSettings) {
	r.asked = true
	r.next, r.err = s.Flags.Config()
	return r
}

// endStandby takes over when the wait for the predecessor has ended with err, or returns a RetryError
// when another process is active.
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
	case errors.As(err, new(*takeover.RefusedError)): // the active process could not wait for this one, or could not stop
		s.log.Warn().Err(err).Str("effect", "the standby waits for the end of the active process").Msg("takeover refused")
		return s.succession.TakeOverDead(ctx, from, metrics.TakeoverDied)
	case errors.Is(err, takeover.ErrDisconnected):
		return s.succession.TakeOverDead(ctx, from, metrics.TakeoverDied)
	}
	return err
}
