package server

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard"
)

// findPredecessor is who serves now. Where nobody does it is last, the process that
// did, or what that has left with the service manager. A standby that has last
// does not wait long for who serves: it can watch it by that.
func (s *server) findPredecessor(ctx context.Context, last *predecessor) (*predecessor, error) {
	standsBy := last != nil && s.config.Standby
	if last != nil && last.conn != nil {
		return last, nil
	}
	if standsBy {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, redialTimeout)
		defer cancel()
	}
	from, err := s.dial(ctx)
	switch {
	case from != nil:
		from.replace(last)
		return from, nil
	case standsBy:
		return last, nil
	case err != nil || last != nil:
		return last, err
	}
	return s.service.storedPredecessor(s.config)
}

// start opens all there is, and where another process serves it now takes it
// over. When ctx ends first, the other goes on.
func (s *server) start(ctx context.Context, reload <-chan os.Signal, from *predecessor) error {
	err := s.openListeners(from)
	switch {
	case err != nil:
		err = from.explainAddress(err)
	case from == nil:
		err = s.listenAt(takeover.Listen)
	case s.config.Standby && (from.conn != nil || from.disconnected):
		err = s.standBy(ctx, reload, from)
	case from.conn == nil:
		err = s.takeOverStored(ctx, from)
	default:
		err = s.takeOver(ctx, from)
	}
	if err != nil {
		if (from == nil || from.conn == nil) && s.config.Takeover != "" && isInUse(err) {
			err = retryError{error: s.config.WithTakeoverHint(err)} // somebody was faster, and answers soon
		}
		return err
	}
	if err := s.listenStreams(from); err != nil {
		if from == nil {
			return err
		}
		s.log.Error().Err(err).Msg("queries over TCP are not answered") // those over UDP wait, and there is no way back
	}
	s.ledger.SetRole(metrics.Active)
	return nil
}

// listenAt takes the takeover path, if there is one.
func (s *server) listenAt(how func(path, version string) (*takeover.Server, error)) error {
	if s.config.Takeover != "" {
		server, err := how(s.config.Takeover, s.Version)
		if err != nil {
			return s.config.TakeoverError(err)
		}
		s.takeover = server
	}
	return nil
}

// isInUse says whether another process has the port, or the takeover path.
func isInUse(err error) bool {
	return errors.As(err, new(*shard.InUseError)) || errors.As(err, new(*takeover.InUseError))
}

// discard closes what a server that never was active has opened.
func (s *server) discard() {
	for _, g := range s.groups {
		g.Close()
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.closeDNS(soon)
	s.outputs.Close(soon) // there is nothing to write
	s.web.shutDown()
	if s.takeover != nil {
		s.takeover.Close()
	}
	s.release()
	s.closePeerStandbys()
	s.service.setServer(nil)
	if s.counters != nil {
		s.counters.Close()
	}
}

// markHandedOver sets the handed-over mark in the control memory of each predecessor, so that a
// standby that has only that memory does not take the exit of this process for a crash. The next
// process sets the mark in this process's own control memory, when it has taken over.
func (s *server) markHandedOver() {
	for _, claim := range s.predecessorLeases {
		control, err := claim.Control()
		if err == nil {
			err = metrics.MarkHandedOver(control)
		}
		if err != nil { // the handover goes on without the mark
			s.log.Warn().Err(err).
				Msg("marking counters as handed over failed: a standby may treat this exit as a crash")
		}
	}
}

// release gives up the right to be active.
func (s *server) release() {
	if s.lease != nil {
		s.lease.Release()
	}
	for _, claim := range s.predecessorLeases {
		claim.Release()
	}
}
