package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/output"
	"github.com/udpshard/udpshard/shard"
	"github.com/udpshard/udpshard/shard/takeover"
)

// legacy is what a process that serves now hands over to this one; nil where
// there is none.
type legacy struct {
	conn  *takeover.Conn
	offer takeover.Offer
	log   zerolog.Logger
}

// defaultTakeover is where systemd gives a service a folder of its own
// (RuntimeDirectory=, systemd.exec(5)), and else off.
func defaultTakeover() string {
	if dir := os.Getenv("RUNTIME_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "takeover.sock")
	}
	return ""
}

// dialLegacy asks the process that serves at the takeover path, if there is
// one, for what it has.
func dialLegacy(ctx context.Context, c *config, log zerolog.Logger) (*legacy, error) {
	if c.takeover == "" {
		return nil, nil
	}
	conn, err := takeover.Dial(ctx, c.takeover)
	if errors.Is(err, takeover.ErrNobody) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("takeover: %w", err)
	}
	hello := takeover.Hello{Version: thisBuild().version, Role: takeover.Successor}
	for _, l := range c.listeners {
		hello.Listeners = append(hello.Listeners, takeover.Want{Address: l.address, Shards: l.shards})
	}
	offer, err := conn.Hello(ctx, hello)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("take over from pid %d: %w", conn.PID(), err)
	}
	log.Info().Int("pid", offer.PID).Str("version", offer.Version).Msg("taking over: it serves until this process is ready")
	for _, had := range offer.Listeners {
		if !slices.ContainsFunc(c.listeners, func(l *listener) bool { return l.address == had.Address }) {
			log.Warn().Str("listener", had.Name).Str("address", had.Address).Msg("there is no such listener here: what waits at its sockets will be lost with them")
		}
	}
	return &legacy{conn: conn, offer: offer, log: log}, nil
}

// inheritance is what there is for a listener.
func (l *legacy) inheritance(address string) *shard.Inheritance {
	if l == nil {
		return nil
	}
	for _, had := range l.offer.Listeners {
		if had.Address == address {
			return &shard.Inheritance{Sockets: had.Sockets, Seed: had.Seed}
		}
	}
	return nil
}

// web is the HTTP listener, if the other has it at the same address.
func (l *legacy) web(address string) net.Listener {
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

// hasAddress says whether a listener has the address that host:port means.
func hasAddress(has net.Addr, want string) bool {
	wanted, err := net.ResolveTCPAddr("tcp", want)
	at, ok := has.(*net.TCPAddr)
	if err != nil || !ok || wanted.Port != at.Port {
		return false
	}
	return wanted.IP.Equal(at.IP) || len(wanted.IP) == 0 && at.IP.IsUnspecified()
}

// takeOver becomes the owner of all that was offered, once the other has
// stopped reading and its records are in its outputs. An error leaves the
// other serving.
func (s *server) takeOver(ctx context.Context, from *legacy) (*takeover.Server, error) {
	defer from.offer.Close()
	began := time.Now()
	err := from.conn.Ready(ctx)
	if err == nil {
		err = s.inherit(from)
	}
	if err != nil {
		from.conn.Close()
		return nil, fmt.Errorf("take over from pid %d: %w", from.offer.PID, err)
	}
	server, err := from.conn.Mine(ctx)
	if err != nil {
		return nil, fmt.Errorf("take over from pid %d: %w", from.offer.PID, err)
	}
	s.log.Info().Int("pid", from.offer.PID).Stringer("after", time.Since(began).Round(time.Microsecond)).Msg("took over: its sockets, its queues and its counters")
	return server, nil
}

func (s *server) inherit(from *legacy) error {
	if from.offer.Counters == nil {
		return errors.New("it has no counters to go on from")
	}
	old, err := metrics.OpenBook(from.offer.Counters)
	if err != nil {
		return fmt.Errorf("its counters: %w", err)
	}
	from.offer.Counters = nil // the book's
	defer old.Close()
	estate := s.book.Inherit(old)
	for _, g := range s.groups {
		if err := g.TakeOver(estate.Surplus); err != nil {
			return err
		}
	}
	if _, err := estate.Settle(output.Recover); err != nil { // all else is settled, and there is no way back
		s.log.Error().Err(err).Msg("what the one before had written last can't be told exactly")
	}
	return nil
}

// handover is the active process's part: takeover.Active.
type handover struct {
	server *server
	asked  chan chan error // Yield, to the main loop
	ended  chan bool       // what came of it: true, this process has nothing left
}

func newHandover(s *server) *handover {
	return &handover{server: s, asked: make(chan chan error), ended: make(chan bool)}
}

// Offer implements takeover.Active.
func (h *handover) Offer(hello takeover.Hello) (offer takeover.Offer, err error) {
	s := h.server
	defer func() {
		if err != nil {
			offer.Close()
		}
	}()
	if hello.Role != takeover.Successor {
		return offer, errors.New("this version takes successors alone")
	}
	s.log.Info().Int("pid", hello.PID).Str("version", hello.Version).Msg("a successor is getting ready")
	for i, g := range s.groups {
		sockets, err := g.Sockets()
		if err != nil {
			return offer, err
		}
		l := s.config.listeners[i]
		offer.Listeners = append(offer.Listeners, takeover.Listener{Name: l.name, Address: l.address, Protocol: l.protocol, Seed: g.Seed(), Sockets: sockets})
	}
	if offer.Web, err = s.web.file(); err != nil {
		return offer, err
	}
	offer.Counters, err = duplicate(s.book.File())
	offer.Epoch = s.book.Epoch()
	return offer, err
}

// Yield implements takeover.Active.
func (h *handover) Yield(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case h.asked <- done:
		return <-done
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resume implements takeover.Active.
func (h *handover) Resume(reason error) {
	h.server.log.Warn().Err(reason).Msg("the successor has not taken over: reading on")
	h.ended <- false
}

// Left implements takeover.Active.
func (h *handover) Left() { h.ended <- true }

// yield stops reading, and waits until all that was read is in the outputs.
func (s *server) yield(ctx context.Context, ended <-chan error) error {
	for _, g := range s.groups {
		g.Yield()
	}
	var errs []error
	for range s.groups {
		errs = append(errs, <-ended)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	const step = time.Millisecond
	for s.inFlight() > 0 {
		select {
		case <-time.After(step):
		case <-ctx.Done():
			return fmt.Errorf("%d records are still on their way to the outputs", s.inFlight())
		}
	}
	return nil
}

func (s *server) inFlight() (n uint64) {
	for _, l := range s.ledger.Listeners() {
		n += metrics.Sum(l.Read()).InFlight
	}
	return n
}

// duplicate makes a descriptor of the same file or socket, and leaves the one
// that there is as it is.
func duplicate(of syscall.Conn) (*os.File, error) {
	raw, err := of.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	if err := raw.Control(func(has uintptr) { fd, failed = unix.FcntlInt(has, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), ""), failed
}
