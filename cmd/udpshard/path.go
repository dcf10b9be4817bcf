package main

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/shard/takeover"
)

// keepPathEvery is how often the active process looks whether its takeover path is its own: less
// than a successor tries for (againPatience), which finds nobody there while its file is missing.
const keepPathEvery = 500 * time.Millisecond

// keepPath has others find this process at the takeover path: it takes the path where that was
// not possible before this process read, and makes the socket's file anew where that was removed.
func (s *server) keepPath(ctx context.Context) {
	if s.replaced() {
		return // the path is another process's
	}
	if s.takeover == nil {
		if s.listenLate() == nil {
			s.log.Info().Str("path", s.takeover.Path()).Msg("others can take over from this process")
			s.hearPeers(ctx)
		}
		return
	}
	renewed, err := s.takeover.Renew()
	switch {
	case renewed:
		s.log.Warn().Str("path", s.takeover.Path()).
			Msg("the takeover socket was gone, and was made anew: others can take over again")
		s.pathErr = ""
	case err == nil || err.Error() == s.pathErr:
	default:
		s.pathErr = err.Error()
		s.log.Error().Err(err).Str("path", s.takeover.Path()).
			Msg("the takeover socket is gone, and can't be made anew: nobody can take over until that succeeds")
	}
}

// tellUnheard says that this process reads without having the takeover path: it has that
// as soon as listenLate gets it.
func (s *server) tellUnheard(err error) {
	s.log.Error().Err(err).
		Msg("nobody can take over from this process until it can listen: trying again and again")
}

// listenLate takes the takeover path where that was not possible before this process
// read. Its file may still be that of the process that was taken for stuck, and hangs.
func (s *server) listenLate() error {
	err := s.listen(takeover.ListenNow)
	var inUse *takeover.InUseError
	if errors.As(err, &inUse) && inUse.PID != 0 && inUse.PID == s.deposed {
		err = s.listen(takeover.SeizeNow)
	}
	return err
}
