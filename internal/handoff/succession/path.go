package succession

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/metrics"
)

// listenFunc is takeover.Listen, takeover.ListenNow, takeover.SeizeNow, or a function that chooses
// among these.
type listenFunc func(path, version string) (*takeover.Server, error)

// Listen makes a process without a predecessor the active process of the takeover path.
func (s *Succession) Listen() error { return s.listenAt(takeover.Listen) }

// listenAt listens at the takeover path, if the settings have a path.
func (s *Succession) listenAt(listen listenFunc) error {
	if s.Path == "" {
		return nil
	}
	path, err := listen(s.Path, s.Version)
	if err != nil {
		return s.PathError(err)
	}
	s.path = path
	return nil
}

// listen listens at the takeover path of a dead predecessor. The socket at the path may still be
// the socket of the predecessor: a stopped process that has handed over to the predecessor keeps a
// duplicate open.
func (p *Predecessor) listen(path, version string) (*takeover.Server, error) {
	server, err := takeover.ListenNow(path, version)
	var inUse *takeover.InUseError
	if errors.As(err, &inUse) && inUse.PID != 0 && inUse.PID == p.Offer.PID {
		return takeover.SeizeNow(path, version)
	}
	return server, err
}

// allowWithoutPath decides whether this process may take over without the takeover path. After the
// first owner of the counters it may. After a later owner, a second standby may have the counters
// of a still later process, and only the path keeps two standbys from becoming active.
func (s *Succession) allowWithoutPath(err error, epoch uint64) error {
	if epoch != metrics.FirstEpoch {
		return Retry(err)
	}
	s.logPathUnavailable(err)
	return nil
}

// logPathUnavailable logs that this process reads without the takeover path, so that no peer can
// take over.
func (s *Succession) logPathUnavailable(err error) {
	s.log.Error().Err(err).Stringer("retry_interval", KeepPathInterval).
		Msg("takeover path unavailable")
}

// KeepPathInterval is the time between two calls of KeepPath: less than the second for which a
// successor tries again while the socket's file is missing.
const KeepPathInterval = 500 * time.Millisecond

// KeepPath keeps the active process reachable at the takeover path: KeepPath listens if listening
// failed before the shards read, and recreates the socket's file if the file was removed. ctx and
// active are for ServePeers.
func (s *Succession) KeepPath(ctx context.Context, active takeover.Active) {
	if s.Fenced() {
		return // the path is the new owner's
	}
	if s.path == nil {
		if s.retryListen() == nil {
			s.log.Info().Str("path", s.path.Path()).Msg("takeover path available")
			s.ServePeers(ctx, active)
		}
		return
	}
	restored, err := s.path.RestorePath()
	switch {
	case restored:
		s.log.Warn().Str("path", s.path.Path()).Msg("takeover socket recreated")
		s.pathError = ""
	case err == nil || err.Error() == s.pathError:
	default:
		s.pathError = err.Error()
		s.log.Error().Err(err).Str("path", s.path.Path()).Msg("takeover socket recreation failed")
	}
}

// retryListen listens at the takeover path after a failure before the shards read. The stalled
// predecessor may still have the socket at the path.
func (s *Succession) retryListen() error {
	err := s.listenAt(takeover.ListenNow)
	var inUse *takeover.InUseError
	if errors.As(err, &inUse) && inUse.PID != 0 && inUse.PID == s.stalledPID {
		err = s.listenAt(takeover.SeizeNow)
	}
	return err
}
