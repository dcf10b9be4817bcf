package takeover

import (
	"errors"
	"net"
	"os"
)

// RestorePath recreates the file of the socket if the file was removed, or if another file has its
// name. restored is true if the file is new. Connected peers stay connected; peers whose
// connection was not accepted yet have to dial again. Only the active process may call
// RestorePath; a replaced process must not. The errors are the errors of Listen. A live socket of
// another process stays, with an *InUseError. During and after a handover, RestorePath does
// nothing.
func (s *Server) RestorePath() (restored bool, err error) {
	select {
	case s.handoverLock <- struct{}{}:
		defer func() { <-s.handoverLock }()
	default:
		return false, nil
	}
	if s.hasHandedOver() || s.isClosing() {
		return false, nil
	}
	p, err := openSocketPath(s.path)
	if err != nil {
		return false, err
	}
	defer p.close()
	switch there, _, err := p.stat(p.name); {
	case err == nil && there == s.file:
		return false, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	l, file, err := p.listen(false, shortLockTimeout)
	if err != nil {
		return false, err
	}
	old := s.listening()
	s.mu.Lock()
	s.listener, s.file = l, file
	s.mu.Unlock()
	return true, old.Close()
}

// listening returns the current listening socket.
func (s *Server) listening() *net.UnixListener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener
}
