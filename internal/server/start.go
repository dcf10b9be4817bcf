package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/shard"
)

// start opens the listeners, and takes over from the predecessor; nil means a start without
// predecessor. If ctx ends before the takeover, the predecessor stays active.
func (s *server) start(ctx context.Context, from *succession.Predecessor) error {
	err := s.openListeners(from)
	switch {
	case err != nil:
		err = explainAddress(from, err)
	case from == nil:
		err = s.succession.Listen()
	case s.config.Standby && from.WasConnected():
		err = s.standBy(ctx, from)
	case from.Connected():
		err = s.succession.Upgrade(ctx, from)
	default:
		err = s.succession.TakeOverStored(ctx, from)
	}
	if err != nil {
		if !from.Connected() && s.config.Takeover != "" && isInUse(err) {
			// A faster process has become active, and answers soon.
			err = succession.Retry(preflight.WithTakeoverHint(s.config, err))
		}
		return err
	}
	if err := s.listenStreams(); err != nil {
		if from == nil {
			return err
		}
		// The takeover is final, and queries over UDP wait.
		s.log.Error().Err(err).Msg("DNS over TCP unavailable")
	}
	s.changeRole(handoff.Activated)
	return nil
}

// isInUse returns whether a peer has the port or the takeover path.
func isInUse(err error) bool {
	return errors.As(err, new(*shard.InUseError)) || errors.As(err, new(*takeover.InUseError))
}

// findPredecessor returns the active process, or last, or the sockets that the service manager has
// stored, or nil.
func (s *server) findPredecessor(
	ctx context.Context, last *succession.Predecessor,
) (*succession.Predecessor, error) {
	from, err := s.succession.Find(ctx, last)
	if from != nil || err != nil {
		return from, err
	}
	return s.service.storedPredecessor(s.config)
}

// discard closes all files of a server that was never active.
func (s *server) discard() {
	for _, g := range s.listeners {
		g.Close()
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.closeDNS(soon)
	s.outputs.Close(soon) // without records
	s.outputs.closeSpool(soon, false)
	s.web.shutDown()
	s.succession.Discard()
	s.service.setServer(nil)
	if counters := s.succession.Counters(); counters != nil {
		counters.Close()
	}
}
