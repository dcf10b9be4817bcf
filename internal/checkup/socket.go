package checkup

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/sockets"
)

// watched is what the sockets of a port did between the two readings.
type watched struct {
	sockets.Watch
	err error
}

// watch looks at the sockets of all listeners' ports at once.
func (h Host) watch(ctx context.Context, listeners []Listener, interval time.Duration) map[uint16]watched {
	var mu sync.Mutex
	var all sync.WaitGroup
	ports := make(map[uint16]watched)
	for _, l := range listeners {
		port := l.Address.Port()
		if _, known := ports[port]; known {
			continue
		}
		ports[port] = watched{}
		all.Go(func() {
			w, err := h.Watch(ctx, port, interval)
			mu.Lock()
			defer mu.Unlock()
			ports[port] = watched{w, err}
		})
	}
	all.Wait()
	return ports
}

// at returns the sockets that hold a listener's port. Connected ones get
// datagrams of one sender, and are somebody's business with him.
func (e *examination) at(l Listener) ([]sockets.Watched, error) {
	w := e.ports[l.Address.Port()]
	var found []sockets.Watched
	for _, s := range w.Sockets {
		if !s.Peer.IsValid() && l.holds(s.Local, s.V6Only) {
			found = append(found, s)
		}
	}
	return found, w.err
}

// own says whether an instance of this program has a socket.
func (e *examination) own(s sockets.Watched) bool { return e.instanceOf(s) != 0 }

// instanceOf returns the number of the instance that has a socket, else 0.
func (e *examination) instanceOf(s sockets.Watched) int {
	for _, p := range s.Processes {
		if p.Command == e.name && p.PID != e.self {
			return p.PID
		}
	}
	return 0
}

// instance returns the number of an instance that has a listener's port, 0 if
// none is to be seen.
func (e *examination) instance() int {
	for _, l := range e.listeners {
		found, _ := e.at(l)
		for _, s := range found {
			if pid := e.instanceOf(s); pid != 0 {
				return pid
			}
		}
	}
	return 0
}

// stopped returns the process of a socket that was stopped by a signal or a
// debugger, if all of them were.
func (e *examination) stopped(s sockets.Watched) (pid int, stopped bool) {
	for _, holder := range s.Processes {
		p, err := e.fs.Proc(holder.PID)
		if err != nil {
			return 0, false
		}
		stat, err := p.Stat()
		if err != nil || stat.State != "T" && stat.State != "t" {
			return 0, false
		}
		pid = holder.PID
	}
	return pid, pid != 0
}

// hint returns what an error says is to be done about it.
func hint(err error) string {
	var remedy interface{ Hint() string }
	if errors.As(err, &remedy) {
		return ": " + remedy.Hint()
	}
	return ""
}
