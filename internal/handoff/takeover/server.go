package takeover

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// Server is the active process's end: a socket that listens at a path, and the queue of peers. Any
// goroutine may call its methods.
type Server struct {
	path    string
	version string
	limits  limits
	file    identity // changes only under handoverLock

	handoverLock chan struct{} // held during a handover
	handedOver   chan struct{} // closed when this process has handed over
	committed    chan struct{} // closed after Active.Committed
	closing      chan struct{}
	close        sync.Once

	mu        sync.Mutex
	listener  *net.UnixListener // changes only under mu and handoverLock: see RestorePath
	successor *peer             // from hello to its end
	waiting   []*peer           // peers with an offer, in the order of arrival
	newActive Announcement      // the process that has taken over
}

// Listen listens at a path. Peers are told the version. Listen replaces a socket file that a
// process of this user has left. A live socket is an *InUseError. The socket of another user, and
// a file of another type, are errors. If several processes call Listen at once, one succeeds. A
// folder in which other users may replace the socket is a *SharedFolderError. If another process
// of this user holds the lock of the path, Listen waits for up to five seconds, and the error is
// ErrPathLocked.
//
// Bind a UDP port before the call: then the process that has the path has the port.
func Listen(path, version string) (*Server, error) {
	return listen(path, version, false, lockTimeout)
}

// ListenNow is Listen while datagrams wait: it waits for the lock for only a few milliseconds.
func ListenNow(path, version string) (*Server, error) {
	return listen(path, version, false, shortLockTimeout)
}

// SeizeNow is ListenNow, and replaces a live socket too: the socket of a process that hangs. Peers
// of that process stay connected to the old socket.
func SeizeNow(path, version string) (*Server, error) {
	return listen(path, version, true, shortLockTimeout)
}

func listen(path, version string, live bool, timeout time.Duration) (*Server, error) {
	p, err := openSocketPath(path)
	if err != nil {
		return nil, err
	}
	defer p.close()
	l, file, err := p.listen(live, timeout)
	if err != nil {
		return nil, err
	}
	return newServer(p.path, version, l, file), nil
}

// listen locks the path and creates the socket. live: a live socket is replaced.
func (p *socketPath) listen(live bool, timeout time.Duration) (*net.UnixListener, identity, error) {
	if err := p.checkFolder(); err != nil {
		return nil, identity{}, err
	}
	if err := p.lock(timeout); err != nil {
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

// Path returns the absolute path of the socket.
func (s *Server) Path() string { return s.path }

// Standbys returns the waiting standbys, in the order in which HandOver asks them.
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

// Close ends Serve. Unless a peer has taken over, Close also removes the file at the path, unless
// another process has replaced it. Close waits for the end of a handover, so methods of Active
// must not call Close.
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
		return nil // the file was removed with its folder
	} else if err != nil {
		return err
	}
	defer p.close()
	if err = p.lock(lockTimeout); err != nil {
		return err
	}
	return p.removeSocket(s.file)
}
