package doctor

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/procfs"

	"github.com/udpshard/udpshard/internal/sockets"
)

// watched is what the sockets of a port did between the two readings.
type watched struct {
	sockets.Watch
	err error
}

// watch looks at the sockets of all listeners' ports at once.
func (h Host) watch(ctx context.Context, listeners []Listener, interval time.Duration) map[uint16]watched {
	var ports []uint16
	for _, l := range listeners {
		ports = append(ports, l.Address.Port())
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	seen := make([]watched, len(ports))
	var all sync.WaitGroup
	for i, port := range ports {
		all.Go(func() { seen[i].Watch, seen[i].err = h.Watch(ctx, port, interval) })
	}
	all.Wait()
	byPort := make(map[uint16]watched, len(ports))
	for i, port := range ports {
		byPort[port] = seen[i]
	}
	return byPort
}

// at returns the sockets that hold a listener's port. Connected ones get
// datagrams of one sender, and are somebody's business with him.
func (e *examination) at(l Listener) ([]sockets.Watched, error) {
	w := e.ports[l.Address.Port()]
	var found []sockets.Watched
	for _, s := range w.Sockets {
		if !s.Peer.IsValid() && l.Holds(s.Local, s.V6Only) {
			found = append(found, s)
		}
	}
	return found, w.err
}

// own says whether an instance of this program has a socket.
func (e *examination) own(s sockets.Watched) bool { return e.instanceOf(s) != 0 }

// ownAt returns an instance's sockets that hold a listener's port.
func (e *examination) ownAt(l Listener) []sockets.Watched {
	found, _ := e.at(l)
	return slices.DeleteFunc(found, func(s sockets.Watched) bool { return !e.own(s) })
}

// instanceOf returns the number of the instance that has a socket, else 0. An
// instance runs the same program, or one called udpshard.
func (e *examination) instanceOf(s sockets.Watched) int {
	for _, p := range s.Processes {
		if proc, err := e.fs.Proc(p.PID); err == nil && p.PID != e.self {
			if name := program(proc); name == e.name || name == "udpshard" {
				return p.PID
			}
		}
	}
	return 0
}

// program returns what a process's executable is called: a process may call
// itself anything, so that is asked only where the executable can't be seen.
func program(p procfs.Proc) string {
	if exe, err := p.Executable(); err == nil && exe != "" {
		return path.Base(strings.TrimSuffix(exe, " (deleted)")) // proc_pid_exe(5): replaced meanwhile
	}
	name, _ := p.Comm()
	return name
}

// instance returns the number of an instance that has a listener's port, 0 if
// none is to be seen.
func (e *examination) instance() int {
	for _, l := range e.listeners {
		for _, s := range e.ownAt(l) {
			return e.instanceOf(s)
		}
	}
	return 0
}

// stopped returns the state of a socket's processes, if all of them are
// stopped: T by a signal, t by a debugger (proc_pid_stat(5)), else "".
func (e *examination) stopped(s sockets.Watched) (state string) {
	for _, holder := range s.Processes {
		p, err := e.fs.Proc(holder.PID)
		if err != nil {
			return ""
		}
		stat, err := p.Stat()
		if err != nil || stat.State != "T" && stat.State != "t" {
			return ""
		}
		if state != "t" {
			state = stat.State
		}
	}
	return state
}

// hint returns what an error says is to be done about it.
func hint(err error) string {
	var remedy interface{ Hint() string }
	if errors.As(err, &remedy) {
		return ": " + remedy.Hint()
	}
	return ""
}
