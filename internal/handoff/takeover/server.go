package takeover

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Server is the active process's end: a socket that listens at a path, and
// those that wait. Its methods may be called by any goroutine.
type Server struct {
	path    string
	version string
	limits  limits
	file    identity // changes with turn held

	handoverLock chan struct{} // held while ownership is being passed
	handedOver   chan struct{} // closed once it has been
	committed    chan struct{} // closed after Left
	closing      chan struct{}
	close        sync.Once

	mu        sync.Mutex
	listener  *net.UnixListener // changes with turn held too: see Renew
	successor *peer             // from its hello to its end
	waiting   []*peer           // those that have their offer and wait, in order
	newActive Announcement      // who has taken over
}

// Listen takes the path. version is what peers are told. A socket file that a
// process of this user left is replaced; a live socket is an *InUseError;
// another user's socket, or a file that is none, is an error too. Of several
// that listen at once, one succeeds. A folder in which other users may replace the
// socket is a *SharedFolderError. Where another process of this user holds the path's
// lock, it waits for up to five seconds, and then the error is ErrBusy.
//
// Take a UDP port before its path: then whoever has the path has the port.
func Listen(path, version string) (*Server, error) {
	return listen(path, version, false, lockTimeout)
}

// ListenNow is Listen for a process for which datagrams wait: it waits for the lock for
// a few milliseconds alone.
func ListenNow(path, version string) (*Server, error) {
	return listen(path, version, false, shortLockTimeout)
}

// SeizeNow is ListenNow, but replaces a live socket too: that of a process that
// hangs. Peers that are connected to that socket stay connected.
func SeizeNow(path, version string) (*Server, error) {
	return listen(path, version, true, shortLockTimeout)
}

func listen(path, version string, live bool, patience time.Duration) (*Server, error) {
	p, err := openSocketPath(path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	l, file, err := p.listen(live, patience)
	if err != nil {
		return nil, err
	}
	return newServer(p.path, version, l, file), nil
}

// listen takes the path, which a live socket may have where that is to be replaced.
func (p *socketPath) listen(live bool, patience time.Duration) (*net.UnixListener, identity, error) {
	if err := p.checkFolder(); err != nil {
		return nil, identity{}, err
	}
	if err := p.lock(patience); err != nil {
		return nil, identity{}, err
	}
	if err := p.checkVacant(live); err != nil {
		return nil, identity{}, err
	}
	return p.createSocket()
}

func newServer(path, version string, l *net.UnixListener, file identity) *Server {
	return &Server{path: path, version: version, limits: standardLimits, listener: l, file: file,
		handoverLock: make(chan struct{}, 1), handedOver: make(chan struct{}), committed: make(chan struct{}), closing: make(chan struct{})}
}

// Path returns where it listens, as an absolute path.
func (s *Server) Path() string { return s.path }

// Standbys returns those that wait, the one that is next first.
func (s *Server) Standbys() []Hello {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hellos []Hello
	for _, p := range s.waiting {
		if p.hello.Role == Standby {
			hellos = append(hellos, p.hello)
		}
	}
	return hellos
}

// Close ends Serve and, unless somebody has taken over, removes the file at
// the path if it is still the one that Listen made. It waits for a handover
// that is under way to end, so no method of Active may call it.
func (s *Server) Close() (err error) {
	s.close.Do(func() {
		close(s.closing)
		s.listening().SetDeadline(pastDeadline)
		s.handoverLock <- struct{}{}
		defer func() { <-s.handoverLock }()
		if !s.hasHandedOver() {
			err = errors.Join(s.clear(), s.listener.Close())
		}
	})
	return err
}

func (s *Server) clear() error {
	p, err := openSocketPath(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the folder has gone, and the file with it
	} else if err != nil {
		return err
	}
	defer p.close()
	if err = p.lock(lockTimeout); err != nil {
		return err
	}
	return p.removeSocket(s.file)
}
