package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// errReloaded: a standby has new settings.
var errReloaded = errors.New("reloaded")

// standBy waits until the process that serves hands over, dies or hangs, and
// takes over then.
func (s *server) standBy(ctx context.Context, reload <-chan os.Signal, from *predecessor) error {
	s.ledger.SetRole(metrics.Standby)
	if s.web != nil && !s.web.shared {
		s.web.serve()
	}
	wait := func(ctx context.Context) error { return s.redial(ctx, from) }
	if from.conn != nil {
		s.log.Info().EmbedObject(from.logFields()).Str("version", from.offer.Version).Msg("standing by for the process that serves")
		from.conn.SetMemory(memoryOf(s.counters))
		wait = from.conn.Wait
	}
	s.wasStandby = true
	s.service.standsBy(from.process())

	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- wait(waiting) }()
	leave := func(why error) error { // with who was met at this very moment
		stop()
		var last retryError
		errors.As(<-ended, &last)
		return retryError{why, last.answered}
	}
	epoch := from.counters.Epoch() // of the process that is watched
	detectors, tick := s.stallDetectors(from)
	defer tick.Stop()
	files := newReloader(s.log)
	defer func() {
		files.slow.Stop()
		s.reloadPending = !files.began.IsZero()
	}()
	for {
		select {
		case err := <-ended:
			return s.endStandby(ctx, from, err)
		case now := <-tick.C:
			if from.counters.Epoch() != epoch { // by another standby; one that is stopped does not say so
				return leave(takeover.ErrRedirected)
			}
			from.endPreviousRegistration()
			patience, stuck := from.counters.Takeovers().Patience(now, s.config.StandbyAfter), ""
			for listener, detector := range detectors {
				detector.SetTimeout(patience)
				if text := detector.Check(now); text != "" {
					stuck = "listener " + listener + " " + text
				}
			}
			if stuck == "" {
				continue
			}
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				return s.endStandby(ctx, from, err)
			}
			return s.takeOverStalled(ctx, from, epoch, patience, stuck)
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
				s.service.standsBy(from.process())
			default:
				s.log.Info().Msg("reloaded: opening what the new settings ask for")
				err := leave(errReloaded)
				s.config = next.next
				return err
			}
		}
	}
}

// loadStandbySettings is a reload of a standby: what its settings ask for is opened when it
// begins anew.
func (s *server) loadStandbySettings() (r loadedSettings) {
	r.asked = true
	r.next, r.err = s.Flags.Config()
	return r
}

// stallDetectors returns a detector for each listener of the active process, and the ticker of
// their checks.
func (s *server) stallDetectors(from *predecessor) (map[string]*handoff.StallDetector, *time.Ticker) {
	detectors := make(map[string]*handoff.StallDetector)
	after := s.config.StandbyAfter
	if after == 0 {
		return detectors, time.NewTicker(syncInterval)
	}
	for _, pages := range from.counters.Listeners() {
		for _, had := range from.offer.Listeners {
			if had.Name == pages.Name {
				detectors[had.Name] = handoff.NewStallDetector(pages.Shards, had.Sockets, after)
			}
		}
	}
	return detectors, time.NewTicker(handoff.CheckInterval(after))
}

// endStandby goes on when the other has said something, or can't any more.
func (s *server) endStandby(ctx context.Context, from *predecessor, err error) error {
	switch {
	case err == nil:
		began := time.Now()
		if err := s.takeOverQuiesced(ctx, from); err != nil {
			return s.endStandby(ctx, from, err)
		}
		event := s.countTakeover(from, began, metrics.TakeoverStop)
		s.logWhenReading(event, "took over: it was told to stop", from.conn.QuiescedAt())
		return nil
	case errors.As(err, new(retryError)):
		return err
	case errors.Is(err, takeover.ErrRedirected):
		return retryError{error: err}
	case errors.As(err, new(*takeover.RefusedError)): // the other could not wait for this one, or could not stop
		s.log.Warn().Err(err).Msg("not taken over: waiting for the end of the process that serves")
		return s.takeOverDead(ctx, from, metrics.TakeoverDied)
	case errors.Is(err, takeover.ErrDisconnected):
		return s.takeOverDead(ctx, from, metrics.TakeoverDied)
	}
	return err
}

// takeOverDead takes over from a process that has ended.
func (s *server) takeOverDead(ctx context.Context, from *predecessor, reason metrics.TakeoverReason) error {
	began := time.Now()
	stopped := from.stoppedReading(began)
	var epoch uint64
	err := s.retryBecomeOwner(ctx, s.dialActive, func() (*takeover.Lease, error) {
		// Whoever has the claim of the epoch lives, or is about to take over.
		epoch = from.counters.Epoch()
		dead, err := takeover.AcquireLease(from.counters.Control(), epoch)
		if err != nil {
			return nil, err
		}
		defer dead.Release()
		return s.becomeOwner(from, epoch, from.listen)
	})
	if err != nil {
		return err
	}
	if at, lives := from.stoppedOwner(epoch); lives { // it may wake up yet, and write
		return s.runBesideStalled(ctx, from, at, began, reason, 0, "the process that served is no more, and the one before it does not run")
	}
	if err := s.adopt(from); err != nil {
		return err
	}
	settlement := s.finalizeCounts(from)
	if err := s.drainSurplus(ctx, from); err != nil {
		return err
	}
	event := s.countTakeover(from, began, reason).Uint64("lost_in_crash", settlement.Lost)
	s.logWhenReading(event, "took over: the process that served is no more", stopped)
	return nil
}

// listen takes the takeover path of a process that is dead. The socket there may be that one's
// still, where a process has it too that handed over to the dead one and is stopped.
func (l *predecessor) listen(path, version string) (*takeover.Server, error) {
	server, err := takeover.ListenNow(path, version)
	var inUse *takeover.InUseError
	if errors.As(err, &inUse) && inUse.PID != 0 && inUse.PID == l.offer.PID {
		return takeover.SeizeNow(path, version)
	}
	return server, err
}

// takeOverStored goes on with what the service manager had: sockets, and where a process
// before has served, its counters.
func (s *server) takeOverStored(ctx context.Context, from *predecessor) error {
	if from.counters != nil {
		reason := metrics.TakeoverRestart
		if from.disconnected {
			reason = metrics.TakeoverDied
		}
		return s.takeOverDead(ctx, from, reason)
	}
	if err := s.listenAt(takeover.ListenNow); errors.Is(err, takeover.ErrPathLocked) {
		s.logPathUnavailable(err) // datagrams wait
	} else if err != nil {
		return err
	}
	if err := s.adopt(from); err != nil {
		return err
	}
	if err := s.drainSurplus(ctx, from); err != nil {
		return err
	}
	s.logWhenReading(s.log.Info(), "took over: sockets of the service manager", time.Time{})
	return nil
}

// takeOverStalled takes over from a process that does not run, and has not for as long
// as it was the owner at that epoch. It may wake up: then it sees that it was
// replaced, and leaves.
func (s *server) takeOverStalled(ctx context.Context, from *predecessor, epoch uint64, patience time.Duration, stuck string) error {
	began := time.Now()
	// Whether somebody answers does not tell: it may be its own socket still.
	replaced := func(context.Context) (*predecessor, bool) { return nil, from.counters.Epoch() != epoch }
	err := s.retryBecomeOwner(ctx, replaced, func() (*takeover.Lease, error) { return s.becomeOwner(from, epoch, takeover.SeizeNow) })
	if err != nil {
		return err
	}
	return s.runBesideStalled(ctx, from, epoch, began, metrics.TakeoverStalled, patience, stuck)
}

// runBesideStalled goes on where a process has stopped running that may wake up, and had the
// counters at that epoch. patience is for how long this process has watched it stay away.
func (s *server) runBesideStalled(ctx context.Context, from *predecessor, epoch uint64, began time.Time, reason metrics.TakeoverReason, patience time.Duration, why string) error {
	stopped := from.stoppedReading(began)
	written := findLastWrites(from.counters)
	if err := s.adopt(from); err != nil {
		return err
	}
	if err := s.drainSurplus(ctx, from); err != nil {
		return err
	}
	s.stalled = s.watchStalled(from, epoch, written)
	if !from.offer.Foreign {
		s.stalledPID = from.offer.PID
	}
	event := s.countTakeover(from, began, reason).Str("reason", why)
	if reason == metrics.TakeoverStalled {
		next := s.ledger.Takeovers().Patience(time.Now(), s.config.StandbyAfter)
		event = event.Stringer("patience", patience).Stringer("next_patience", next)
	}
	s.logWhenReading(event, "took over: the process that served does not run", stopped)
	return nil
}

// becomeOwner makes this process the owner after an epoch, and the one that answers at the
// takeover path. Of several processes that come at once, one gets the claim of the next
// epoch, and that one alone takes the path, before the epoch changes: whoever sees the
// change finds it there. It waits for nobody who keeps it from the path: see unheard.
func (s *server) becomeOwner(from *predecessor, epoch uint64, listen func(path, version string) (*takeover.Server, error)) (*takeover.Lease, error) {
	if from.counters.HandedOver() {
		return nil, retryError{error: errHandedOverElsewhere}
	}
	next, err := takeover.AcquireLease(from.counters.Control(), epoch+1)
	if err != nil {
		return nil, err
	}
	if from.counters.Epoch() == epoch {
		err = s.listenAt(listen)
		if err != nil && !isInUse(err) {
			err = s.allowWithoutPath(err, epoch)
		}
	}
	if err == nil && !from.counters.AdvanceEpoch(epoch) {
		err = takeover.ErrLeaseHeld
	}
	if err != nil {
		next.Release()
		if s.takeover != nil {
			s.takeover.Close()
			s.takeover = nil
		}
		return nil, err
	}
	s.peerStandbys = from.peerRegistrations(epoch + 1)
	return next, nil
}

// allowWithoutPath says what to do where a process could serve, and can't listen at the
// takeover path: to serve all the same, unless other standbys may have counters of
// a later process than the owner of that epoch, and only the path keeps them and
// this one apart.
func (s *server) allowWithoutPath(err error, epoch uint64) error {
	if epoch != metrics.FirstEpoch {
		return retryError{error: err}
	}
	s.logPathUnavailable(err)
	return nil
}

const (
	leasePause           = time.Millisecond       // a process that is killed closes one thing after the other
	standbyLeasePatience = 200 * time.Millisecond // of a standby, which looks around again then
	leasePatience        = 10 * time.Second       // of others: it may write a core
)

// retryBecomeOwner tries until this process is the owner. It returns again when another one
// has become it, or does not do so for long.
func (s *server) retryBecomeOwner(ctx context.Context, replaced func(context.Context) (*predecessor, bool), try func() (*takeover.Lease, error)) error {
	for began := time.Now(); ; {
		claim, err := try()
		if err == nil {
			s.predecessorLeases = append(s.predecessorLeases, claim)
			return nil
		}
		if !errors.Is(err, takeover.ErrLeaseHeld) && !isInUse(err) {
			return err
		}
		patience := standbyLeasePatience
		if !s.config.Standby {
			patience = leasePatience
		}
		if met, is := replaced(ctx); is || time.Since(began) > patience {
			return retryError{fmt.Errorf("another process is about to serve, or still does, and does not answer at %s: %w", s.config.Takeover, err), met}
		}
		select {
		case <-time.After(leasePause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dialActive returns who serves at the path, if somebody does. One that is about to
// end may take a connection, but does not answer.
func (s *server) dialActive(ctx context.Context) (met *predecessor, is bool) {
	met, err := s.dial(ctx)
	return met, err == nil && met != nil
}

// countTakeover begins what is logged of it. Files may have been renamed since this
// process opened them.
func (s *server) countTakeover(from *predecessor, began time.Time, reason metrics.TakeoverReason) *zerolog.Event {
	s.ledger.Takeovers().Add(reason, time.Now())
	s.outputs.Reopen(s.filesOpened)
	return s.log.Warn().EmbedObject(from.logFields()).Stringer("after", time.Since(began).Round(time.Microsecond))
}
