package takeover

import (
	"errors"
	"net"
	"os"
)

// Renew makes the socket's file anew where it has been removed, or another one has its name,
// and says whether it did. Those that wait stay connected; those that nobody has accepted yet
// have to dial again. It is for the active process alone: one that was replaced must not call it.
// The errors are Listen's. A live socket of another process stays as it is, with an *InUseError.
// While ownership is being passed, and from then on, Renew does nothing.
func (s *Server) Renew() (renewed bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return false, nil
	}
	if s.hasMoved() || s.isClosing() {
		return false, nil
	}
	p, err := openPlace(s.path)
	if err != nil {
		return false, err
	}
	defer p.close()
	switch there, _, err := p.look(p.name); {
	case err == nil && there == s.file:
		return false, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	l, file, err := p.listen(false, lockMoment)
	if err != nil {
		return false, err
	}
	old := s.listening()
	s.mu.Lock()
	s.listener, s.file = l, file
	s.mu.Unlock()
	return true, old.Close()
}

// listening returns the socket that listens now.
func (s *Server) listening() *net.UnixListener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener
}
