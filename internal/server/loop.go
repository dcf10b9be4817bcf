package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/logging"
	"github.com/udpshard/udpshard/metrics"
)

// loopState is for the goroutine of Run: first for the startup, then for the main loop.
type loopState struct {
	role          handoff.Role
	signals       signals
	ended         chan error   // the result of Run of each group; one place for each listener
	passedOn      <-chan error // the result of the handover to a standby; nil: no such handover
	stats         *logging.Stats
	history       *history.Recorder
	reloads       *reloader
	reloadPending bool                    // SIGHUP came during a takeover or a handover
	wasStandby    bool                    // this process was a standby with these settings
	predecessor   *succession.Predecessor // closed when this process reads
	quiesced      []*listener             // stopped for a handover
	hanging       bool                    // this process exits although a shard hangs, and may wake up
	secondSignal  sync.Once
}

// changeRole changes the role of the process. The status has the role as active, standby or
// draining.
func (s *server) changeRole(e handoff.Event) {
	next, err := s.loop.role.Next(e)
	if err != nil { // a mistake in this program: the role stays
		s.log.Error().Err(err).Msg("role unchanged")
		return
	}
	s.log.Debug().Stringer("from", s.loop.role).Stringer("role", next).Stringer("event", e).
		Msg("role changed")
	s.loop.role = next
	switch {
	case next == handoff.Standby:
		s.ledger.SetRole(metrics.Standby)
	case next == handoff.Active:
		s.ledger.SetRole(metrics.Active)
		s.outputs.Activate()
	case next.Ends():
		s.ledger.SetRole(metrics.Draining)
	}
}

// fenceInterval is the time between two checks whether this process was replaced. A group with a
// hanging shard does not return from Run, and so reports no ErrFenced.
const fenceInterval = 250 * time.Millisecond

// mainLoop serves until the process drains, has handed over or is fenced. The error is the failure
// of an output.
func (s *server) mainLoop(ctx context.Context) (err error) {
	s.loop.reloads = newReloader(s.log)
	defer s.loop.reloads.slow.Stop()
	if !s.beginPendingReload() && s.loop.wasStandby && len(s.dnsServices()) > 0 {
		s.loop.reloads.begin(s.reloadZones) // the standby has read the zones long ago
	}
	path := time.NewTicker(succession.KeepPathInterval)
	defer path.Stop()
	if s.config.Takeover == "" {
		path.Stop()
	}
	fence := time.NewTicker(fenceInterval)
	defer fence.Stop()
	for !s.loop.role.Ends() {
		stop := s.loop.signals.stop
		if s.loop.role == handoff.Stopping {
			stop = nil // the next signal is for exitOnSecond
		}
		select {
		case <-fence.C:
			s.checkFenced()
		case <-s.loop.signals.reload:
			s.reopenAndReload()
		case next := <-s.loop.reloads.done:
			s.endReload(next)
		case <-s.loop.reloads.slow.C:
			s.loop.reloads.logSlow()
		case request := <-stop:
			s.requestStop(ctx, request)
		case err := <-s.loop.passedOn:
			s.endPassingOn(err)
		case result := <-s.loop.ended:
			s.groupEnded(result)
		case err = <-s.outputs.Broken():
			s.changeRole(handoff.Failed)
		case <-path.C:
			s.succession.KeepPath(ctx, s.handover)
		case now := <-s.loop.stats.Ticker.C:
			s.loop.stats.Log(now)
		case request := <-s.handover.requests:
			s.serveHandover(ctx, request)
		}
	}
	return err
}

// checkFenced changes the role if this process was replaced.
func (s *server) checkFenced() {
	if s.succession.Fenced() {
		s.changeRole(handoff.Replaced)
	}
}

// requestStop hands over to a standby. Without a standby the process drains.
func (s *server) requestStop(ctx context.Context, request stopRequest) {
	s.watchSecond(request.at)
	if s.checkFenced(); s.loop.role == handoff.Fenced {
		return
	}
	if !s.succession.HasStandbys() {
		s.log.Info().Stringer("signal", request).Msg("draining")
		s.changeRole(handoff.StopRequested)
		return
	}
	s.log.Info().Stringer("signal", request).Msg("handover to a standby started")
	s.changeRole(handoff.StopPassedOn)
	passedOn := make(chan error, 1)
	s.loop.passedOn = passedOn
	late, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	go func() {
		defer cancel()
		passedOn <- s.succession.HandOver(late)
	}()
}

// endPassingOn lets the process drain if no standby has taken over.
func (s *server) endPassingOn(err error) {
	s.loop.passedOn = nil
	if err != nil {
		s.log.Warn().Err(err).Msg("handover to a standby failed")
		s.changeRole(handoff.Failed)
	}
}

// groupEnded lets the process drain when Run of a group has failed.
func (s *server) groupEnded(result error) {
	s.loop.ended <- result // for awaitGroups
	if errors.Is(result, engine.ErrFenced) {
		s.changeRole(handoff.Replaced)
		return
	}
	s.log.Error().Err(result).Str("effect", "the process drains").Msg("shard failed")
	s.changeRole(handoff.Failed)
}
