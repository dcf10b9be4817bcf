package server

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/shard"
)

// start opens the listeners, and takes over from the predecessor, if there is one. When ctx ends
// before that, the predecessor stays active.
func (s *server) start(ctx context.Context, reload <-chan os.Signal, from *succession.Predecessor) error {
	err := s.openListeners(from)
	switch {
	case err != nil:
		err = explainAddress(from, err)
	case from == nil:
		err = s.succession.Listen()
	case s.config.Standby && from.WasConnected():
		err = s.standBy(ctx, reload, from)
	case from.Connected():
		err = s.succession.Upgrade(ctx, from)
	default:
		err = s.succession.TakeOverStored(ctx, from)
	}
	if err != nil {
		if !from.Connected() && s.config.Takeover != "" && isInUse(err) {
			err = succession.Retry(preflight.WithTakeoverHint(s.config, err)) // another process was faster, and answers soon
		}
		return err
	}
	if err := s.listenStreams(); err != nil {
		if from == nil {
			return err
		}
		s.log.Error().Err(err).Msg("DNS over TCP unavailable") // those over UDP wait, and there is no way back
	}
	s.change(handoff.Activated)
	return nil
}

// isInUse returns whether another process has the port, or the takeover path.
func isInUse(err error) bool {
	return errors.As(err, new(*shard.InUseError)) || errors.As(err, new(*takeover.InUseError))
}

// findPredecessor returns the active process, or last, or what the service manager has stored; nil
// if there is nothing.
func (s *server) findPredecessor(ctx context.Context, last *succession.Predecessor) (*succession.Predecessor, error) {
	from, err := s.succession.Find(ctx, last)
	if from != nil || err != nil {
		return from, err
	}
	return s.service.storedPredecessor(s.config)
}

// discard closes what a server that never was active has opened.
func (s *server) discard() {
	for _, g := range s.listeners {
		g.Close()
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.closeDNS(soon)
	s.outputs.Close(soon) // there is nothing to write
	s.web.shutDown()
	s.succession.Discard()
	s.service.setServer(nil)
	if counters := s.succession.Counters(); counters != nil {
		counters.Close()
	}
}
