package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard"
)

// predecessor is what a process that serves now has for this one, which replaces it
// or stands by, or what one has left that does not serve any more; nil where
// there is nothing.
type predecessor struct {
	conn     *takeover.Conn // nil: there is no such process, or it is sought
	offer    takeover.Offer
	counters *metrics.SharedCounters // its counters; nil: there are none
	log      zerolog.Logger

	inheritance  *metrics.Inheritance  // what this process has taken of the book; nil: nothing yet
	disconnected bool                  // it has had a connection, and who serves now may live
	successor    takeover.Announcement // the process that takes over or has taken over from it

	previous registration // of the previous active process: see replaces
}

// processFields is the process at the other end, in a log line. A pid of another pid
// namespace, such as that of another container, says so: here it is nobody's,
// or somebody else's.
type processFields struct {
	pid     int
	foreign bool
}

// MarshalZerologObject implements zerolog.LogObjectMarshaler.
func (w processFields) MarshalZerologObject(e *zerolog.Event) {
	if w.pid != 0 { // else it is one that has left its sockets with the service manager
		e.Int("pid", w.pid)
	}
	if w.foreign {
		e.Str("pid_namespace", "another")
	}
}

func (l *predecessor) logFields() processFields { return processFields{l.offer.PID, l.offer.Foreign} }

// dial asks the process that serves at the takeover path, if there is one, for what it has.
func (s *server) dial(ctx context.Context) (*predecessor, error) {
	c, log := s.config, s.log
	if c.Takeover == "" {
		return nil, nil
	}
	conn, err := takeover.Dial(ctx, c.Takeover)
	if errors.Is(err, takeover.ErrNotListening) {
		return nil, nil
	}
	if errors.Is(err, takeover.ErrNoAnswer) && c.Standby { // it hangs, and a standby is there for that
		return nil, retryError{error: err}
	}
	if errors.Is(err, takeover.ErrNoAnswer) {
		return nil, cli.WithHint(c.TakeoverError(err), silentRemedy)
	}
	if err != nil {
		return nil, c.TakeoverError(err)
	}
	l := &predecessor{conn: conn, log: log}
	if err := l.requestOffer(ctx, c, s.Version); err != nil {
		l.close()
		if errors.Is(err, takeover.ErrRedirected) || errors.Is(err, takeover.ErrDisconnected) {
			return nil, retryError{error: err}
		}
		if c.Standby && errors.Is(err, takeover.ErrNoAnswer) { // it hangs, and a standby is there for that
			log.Warn().Str("process", conn.Process()).Msg("the process that serves does not answer")
			return nil, retryError{error: err}
		}
		err = fmt.Errorf("take over from %s: %w", conn.Process(), err)
		if errors.Is(err, takeover.ErrNoAnswer) {
			err = cli.WithHint(err, silentRemedy)
		}
		return nil, err
	}
	return l, nil
}

const silentRemedy = "the active process is stopped or hangs: resume it (kill -CONT PID) or end " +
	"it (kill -KILL PID), and start this process again"

// requestOffer asks for what the other has.
func (l *predecessor) requestOffer(ctx context.Context, c *config.Config, version string) (err error) {
	hello := takeover.Hello{Version: version, Role: takeover.Successor}
	if c.Standby {
		hello.Role = takeover.Standby
		if hello.Notes, err = json.Marshal(metrics.ThisProcess()); err != nil {
			return err
		}
	}
	if l.offer, err = l.conn.Hello(ctx, hello); err != nil {
		return err
	}
	if l.offer.Memory.Counters == nil {
		return errors.New("it has no counters to go on from")
	}
	l.counters, err = metrics.OpenSharedCounters(l.offer.Memory.Counters, l.offer.Memory.Control)
	l.offer.Memory = handoff.Memory{} // it is OpenBook's
	if errors.As(err, new(*metrics.LayoutError)) {
		return cli.WithHint(fmt.Errorf("counters of the active process: %w", err), takeover.OtherVersionRemedy)
	}
	if err != nil {
		return fmt.Errorf("counters of the active process: %w", err)
	}
	l.counters.Prefault()
	here := socketKeys(c.Listeners)
	for i := range l.offer.Listeners {
		had := &l.offer.Listeners[i]
		if !here.has(had) {
			l.log.Warn().Str("listener", had.Name).Str("address", had.Address).Msg("there is no such listener here: what waits at its sockets will be lost with them")
		}
	}
	return nil
}

// disconnect ends the connection and keeps all else: until whoever serves now
// answers, it is what this process stands by with.
func (l *predecessor) disconnect() {
	l.inheritance = nil
	if l.conn == nil {
		return
	}
	l.successor = l.conn.Announcement()
	l.conn.Close()
	l.conn, l.disconnected = nil, true
}

// useSuccessorCounters replaces the book by the counters of the heir, if the heir has taken over and this
// process has its counters.
func (l *predecessor) useSuccessorCounters() {
	if l.successor.Memory.Counters == nil || !l.counters.HandedOver() {
		return
	}
	book, err := metrics.OpenSharedCounters(l.successor.Memory.Counters, l.successor.Memory.Control)
	if err != nil {
		l.log.Warn().Err(err).Int("pid", l.successor.PID).
			Msg("opening the counters of the new active process failed")
	} else {
		l.counters.Close()
		l.counters, l.offer.PID = book, l.successor.PID
	}
	l.successor = takeover.Announcement{}
}

// process names the process that it is of.
func (l *predecessor) process() string {
	if l.conn != nil {
		return l.conn.Process()
	}
	return fmt.Sprintf("pid %d", l.offer.PID)
}

// close gives up what was not taken.
func (l *predecessor) close() {
	if l == nil {
		return
	}
	if l.conn != nil {
		l.conn.Close()
	}
	l.offer.Close()
	l.successor.Memory.Close()
	l.previous.close()
	if l.counters != nil {
		l.counters.Close()
	}
}

// streamListener is the socket that listens for the streams of one of the other's listeners;
// nil where there is none.
func (l *predecessor) streamListener(had *handoff.Listener) *net.TCPListener {
	if had == nil || had.Stream == nil {
		return nil
	}
	listener, err := net.FileListener(had.Stream)
	if tcp, ok := listener.(*net.TCPListener); ok {
		return tcp
	} else if listener != nil {
		listener.Close()
	}
	l.log.Warn().Err(err).Str("listener", had.Name).Msg("the TCP socket that was handed over can't be used: it is opened anew")
	return nil
}

// groupMembers are the sockets that are members of their group: the last ones are none
// any more if a process has taken over that has put them out of use, for it had
// fewer shards, and that has ended.
func groupMembers(sockets []*os.File) []*os.File {
	for i, file := range sockets {
		if _, err := engine.SocketAddress(file); err != nil && i > 0 {
			return sockets[:i]
		}
	}
	return sockets // also if the first is of no use: who tries to use it says why
}

// explainAddress adds to an error that the other has a port at another address than
// this process is to have.
func (l *predecessor) explainAddress(err error) error {
	var inUse *shard.InUseError
	if l == nil || l.conn == nil || !errors.As(err, &inUse) {
		return err
	}
	at, _ := hostport.Parse("udp", inUse.Address)
	for _, had := range l.offer.Listeners {
		if theirs, _ := hostport.Parse("udp", had.Address); theirs.Port == at.Port {
			return cli.WithHint(err, fmt.Sprintf("%s has it as %s, and only that very address can be taken over: listen there, or take another port", l.conn.Process(), had.Address))
		}
	}
	return err
}

// httpListener is the HTTP listener, if the other has it at the same address.
func (l *predecessor) httpListener(address string) net.Listener {
	if l == nil || l.offer.Web == nil {
		return nil
	}
	listener, err := net.FileListener(l.offer.Web)
	if err != nil {
		l.log.Warn().Err(err).Msg("the HTTP socket that was handed over can't be used: it is opened anew")
		return nil
	}
	if !hasAddress(listener.Addr(), address) {
		listener.Close()
		return nil
	}
	return listener
}

// hasAddress says whether a listener has the address that host:port means. With any
// unspecified one net.Listen takes IPv6 and IPv4.
func hasAddress(has net.Addr, want string) bool {
	at, ok := has.(*net.TCPAddr)
	return ok && at.Port > 0 && config.HTTPSocket(at.String()) == config.HTTPSocket(want)
}
