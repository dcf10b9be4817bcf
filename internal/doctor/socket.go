package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/udpshard/udpshard/internal/sockets"
)

// watched is what the sockets of a port did between the two readings.
type watched struct {
	sockets.Watch
	err error
}

// watch watches the sockets of all listeners' ports at the same time.
func (h Host) watch(ctx context.Context, listeners []Listener, interval time.Duration) map[uint16]watched {
	var ports []uint16
	for _, l := range listeners {
		ports = append(ports, l.Address.Port())
	}
	ports = unique(ports)
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

// holding returns the sockets that hold a listener's port. Connected sockets are left out: the
// kernel gives them only datagrams of their peer.
func (e *examination) holding(l Listener) ([]sockets.Watched, error) {
	w := e.ports[l.Address.Port()]
	var found []sockets.Watched
	for _, s := range w.Sockets {
		if !s.Peer.IsValid() && l.Holds(s.Local, s.V6Only) {
			found = append(found, s)
		}
	}
	return found, w.err
}

// isOwn reports whether an instance of this program has a socket.
func (e *examination) isOwn(s sockets.Watched) bool { return e.instanceOf(s) != 0 }

// ownSockets returns the sockets of instances that hold a listener's port.
func (e *examination) ownSockets(l Listener) []sockets.Watched {
	found, _ := e.holding(l)
	return slices.DeleteFunc(found, func(s sockets.Watched) bool { return !e.isOwn(s) })
}

// instanceOf returns the PID of the instance that has a socket, else 0. An instance is another
// process of the same program, or of a program called udpshard.
func (e *examination) instanceOf(s sockets.Watched) int {
	for _, p := range s.Processes {
		if proc, err := e.fs.Proc(p.PID); err == nil && p.PID != e.self {
			if name := program(proc); name == e.program || name == "udpshard" {
				return p.PID
			}
		}
	}
	return 0
}

// instance returns the PID of an instance that has a listener's port, else 0.
func (e *examination) instance() int {
	for _, l := range e.listeners {
		for _, s := range e.ownSockets(l) {
			return e.instanceOf(s)
		}
	}
	return 0
}

// stopped returns the state of a socket's processes if all are stopped: T by a signal, t by a
// debugger (proc_pid_stat(5)); else "".
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

// hint returns the remedy of an error, with a colon before it.
func hint(err error) string {
	var remedy interface{ Hint() string }
	if errors.As(err, &remedy) {
		return ": " + remedy.Hint()
	}
	return ""
}

// dropped returns what sockets dropped between the readings.
func dropped(all []sockets.Watched) (n uint64) {
	for _, s := range all {
		n += uint64(s.Dropped)
	}
	return n
}

// holders names the processes of sockets, each once, and users other than the user of this
// process.
func holders(all []sockets.Watched) string {
	var names []string
	for _, s := range all {
		user := ""
		if int(s.UID) != os.Geteuid() {
			user = fmt.Sprintf(" of uid %d", s.UID)
		}
		for _, p := range s.Processes {
			names = append(names, p.String()+user)
		}
		if len(s.Processes) == 0 {
			names = append(names, fmt.Sprintf("uid %d", s.UID))
		}
	}
	return strings.Join(unique(names), ", ")
}

func pids(all []sockets.Watched) (pids []int) {
	for _, s := range all {
		for _, p := range s.Processes {
			pids = append(pids, p.PID)
		}
	}
	return unique(pids)
}

// stop returns the commands that end the processes of sockets, through the manager that would
// restart a killed process.
func (e *examination) stop(all []sockets.Watched) string {
	var commands []string
	var kill []int
	here := managerOf(e.fs, e.self)
	for _, pid := range pids(all) {
		switch m := managerOf(e.fs, pid); {
		case pid == 1:
			commands = append(commands, e.stopFirst())
		case m.stop() != "" && m != here:
			commands = append(commands, m.stop())
		default:
			kill = append(kill, pid)
		}
	}
	if len(kill) > 0 {
		commands = append(commands, "kill"+list(kill))
	}
	return strings.Join(unique(commands), "; ")
}

// stopFirst returns what frees a socket of pid 1: on a host, systemd holds the sockets of units
// (systemd.socket(5)); in a container, pid 1 is the container's program.
func (e *examination) stopFirst() string {
	if p, err := e.fs.Proc(1); err == nil && program(p) == "systemd" {
		return "systemctl list-sockets"
	}
	return "stop this container, whose first process has the port"
}

// list writes each number with a space before it.
func list(numbers []int) (text string) {
	for _, n := range numbers {
		text += fmt.Sprintf(" %d", n)
	}
	return text
}
