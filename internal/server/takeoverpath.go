package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// keepPathInterval is the time between two checks of the takeover path by the active process. It is
// less than againPatience, for which a successor tries again while the socket's file is missing.
const keepPathInterval = 500 * time.Millisecond

// keepPath keeps the active process reachable at the takeover path. It takes the path if that
// failed before this process read, and recreates the socket's file if the file was removed.
func (s *server) keepPath(ctx context.Context) {
	if s.fenced() {
		return // the path is another process's
	}
	if s.takeover == nil {
		if s.retryListen() == nil {
			s.log.Info().Str("path", s.takeover.Path()).Msg("takeover path available")
			s.serveTakeover(ctx)
		}
		return
	}
	renewed, err := s.takeover.RestorePath()
	switch {
	case renewed:
		s.log.Warn().Str("path", s.takeover.Path()).
			Msg("takeover socket recreated")
		s.pathErr = ""
	case err == nil || err.Error() == s.pathErr:
	default:
		s.pathErr = err.Error()
		s.log.Error().Err(err).Str("path", s.takeover.Path()).
			Msg("recreating the takeover socket failed")
	}
}

// logPathUnavailable logs that this process reads without the takeover path, so that no other process
// can take over. keepPath tries to get the path every keepPathEvery.
func (s *server) logPathUnavailable(err error) {
	s.log.Error().Err(err).Stringer("retry_interval", keepPathInterval).Msg("takeover path unavailable")
}

// retryListen takes the takeover path if that failed before this process read. The socket there
// may still belong to the process that this one has replaced as stalled.
func (s *server) retryListen() error {
	err := s.listenAt(takeover.ListenNow)
	var inUse *takeover.InUseError
	if errors.As(err, &inUse) && inUse.PID != 0 && inUse.PID == s.stalledPID {
		err = s.listenAt(takeover.SeizeNow)
	}
	return err
}
