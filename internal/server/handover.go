package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// handover is the active process's part: takeover.Active.
type handover struct {
	server   *server
	requests chan quiesceRequest // Quiesce, to the main loop
	ended    chan bool           // what came of it: true, this process has nothing left
	begun    bool                // the main loop has got what Quiesce asks, and waits for ended
	closed   chan struct{}       // the main loop takes nothing any more

	sameUnit bool // the successor is of the same service, which it has been told to be
}

// quiesceRequest asks the main loop to stop reading. It ends when the peer does.
type quiesceRequest struct {
	peer context.Context
	done chan<- error
}

func newHandover(s *server) *handover {
	return &handover{server: s, requests: make(chan quiesceRequest), ended: make(chan bool), closed: make(chan struct{})}
}

// close ends the main loop's part: who asks from now on comes too late.
func (h *handover) close() { close(h.closed) }

// Offer implements takeover.Active.
func (h *handover) Offer(hello takeover.Hello) (offer takeover.Offer, err error) {
	s := h.server
	defer func() {
		if err != nil {
			offer.Close()
		}
	}()
	if s.succession.Fenced() {
		return offer, fmt.Errorf("another process has taken over: %w", net.ErrClosed)
	}
	event := s.log.Info().EmbedObject(succession.ProcessFields{PID: hello.PID, Foreign: hello.Foreign}).Str("version", hello.Version)
	switch hello.Role {
	case takeover.Successor:
		event.Msg("successor connected")
	case takeover.Standby:
		event.Msg("standby connected")
	default:
		return offer, fmt.Errorf("this version takes successors and standbys, and no %q", hello.Role)
	}
	if offer.State, err = s.state(); err != nil {
		return offer, err
	}
	for i, l := range s.listeners {
		if offer.Listeners[i].Stream, err = l.dns.stream(); err != nil {
			return offer, err
		}
	}
	if offer.Web, err = s.web.file(); err != nil {
		return offer, err
	}
	offer.Notes, err = s.notes()
	return offer, err
}

// SuccessorFailed implements takeover.Active.
func (h *handover) SuccessorFailed(_ takeover.Hello, reason error) {
	h.server.log.Warn().Err(reason).Msg("handover failed")
}

// Quiesce implements takeover.Active. A process that is replaced meanwhile does not refuse: it
// ends, and the peer is to find who serves.
func (h *handover) Quiesce(ctx context.Context) error {
	err := h.quiesce(ctx)
	if err != nil && h.server.succession.Fenced() {
		return fmt.Errorf("%w: %w", err, net.ErrClosed)
	}
	return err
}

func (h *handover) quiesce(ctx context.Context) error {
	done := make(chan error, 1)
	h.begun = false
	if err := h.server.refuseHanging(ctx); err != nil {
		return err
	}
	select {
	case h.requests <- quiesceRequest{ctx, done}:
		h.begun = true
		return <-done
	case <-h.closed:
		return fmt.Errorf("it ends: %w", net.ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resume implements takeover.Active.
func (h *handover) Resume(reason error) {
	h.server.log.Warn().Err(reason).Bool("reading_on", h.begun).Msg("handover failed")
	if h.sameUnit { // the manager does not take a process that is dead
		h.sameUnit = false
		h.server.service.setMainPID(os.Getpid())
	}
	if h.begun {
		h.ended <- false
	}
}

// Committing implements takeover.Active. The successor speaks for itself next, and
// the manager reads in the order of sending.
func (h *handover) Committing(to takeover.Hello) {
	if h.sameUnit = !to.Foreign && sameUnit(to.PID); h.sameUnit {
		h.server.service.setMainPID(to.PID)
	}
}

// Committed implements takeover.Active.
func (h *handover) Committed(takeover.Hello) {
	h.server.succession.MarkHandedOver()
	h.server.succession.Release()
	h.ended <- true
}

// quiesce stops reading, and waits until all that was read is in the outputs. Where
// only queries' records are not, it does not wait for long: those who ask would
// too. A shard that waits for its output yields when that takes something; in a
// process that is told to stop, at the latest when ctx ends, and what the output
// has not taken is lost. If a shard hangs, an output accepts no records for longer
// than patience, or the peer has ended, the groups read on, and the error says why.
func (s *server) quiesce(ctx, peer context.Context, ended <-chan error, signals signals) error {
	for _, g := range s.listeners {
		g.Quiesce()
	}
	s.loop.quiesced = s.listeners
	var errs []error
	stop, late, gone := signals.stop, ctx.Done(), peer.Done()
	if s.loop.role == handoff.QuiescingToStop {
		stop, gone = nil, nil
	} else {
		late = nil
	}
	patience := max(s.config.DrainTimeout, hangTimeout)
	stuck := time.NewTimer(patience)
	defer stuck.Stop()
	check, tick := s.newHangCheck(), time.NewTicker(hangCheckInterval)
	defer tick.Stop()
	for len(errs) < len(s.listeners) {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case sig := <-stop:
			s.log.Info().Stringer("signal", sig).Msg("stop requested during a handover")
			s.change(handoff.StopRequested)
			s.watchSecond(sig.at, signals)
			stop, late, gone = nil, ctx.Done(), nil
		case <-gone:
			return s.cancelQuiesce(ended, errs, context.Cause(peer))
		case <-signals.reload: // outputs that take nothing may be what is waited for
			s.outputs.Reopen(s.filesOpened)
			s.service.logError("a reload", s.service.unit.Reloading())
			s.loop.reloadPending = true
		case <-late:
			late = nil
			s.outputs.Abort()
		case now := <-tick.C:
			if hanging, _ := check.findHanging(now); len(hanging) > 0 {
				s.logHanging(hanging)
				return s.cancelQuiesce(ended, errs, cli.WithHint(hangError(hanging), hangRemedy))
			}
		case now := <-stuck.C:
			return s.cancelQuiesce(ended, errs, fmt.Errorf("%s after %s", s.describeWait(now), patience))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.succession.StopWatching()
	for _, d := range s.dnsServices() {
		d.pause()
	}
	const step = time.Millisecond
	for began := time.Now(); ; {
		n, queries := s.inFlight()
		if n == 0 {
			return nil
		}
		if ctx.Err() != nil || n == queries && time.Since(began) > queryRecordsTimeout {
			return fmt.Errorf("%d records are still on their way to the outputs", n)
		}
		select {
		case <-time.After(step):
		case <-gone:
			return context.Cause(peer)
		case <-ctx.Done():
		}
	}
}

// cancelQuiesce cancels the yield of all groups. Groups that have not stopped read on. s.paused has the
// groups that have stopped, for read to start again; their results are in errs or come from ended.
func (s *server) cancelQuiesce(ended <-chan error, errs []error, why error) error {
	s.loop.quiesced = nil
	for _, g := range s.listeners {
		if !g.Resume() {
			s.loop.quiesced = append(s.loop.quiesced, g)
		}
	}
	for len(errs) < len(s.loop.quiesced) {
		errs = append(errs, <-ended)
	}
	return errors.Join(append([]error{why}, errs...)...)
}

// describeWait names a shard that waits for its output. If none waits, it says that shards still read.
func (s *server) describeWait(now time.Time) string {
	for _, l := range s.ledger.Listeners() {
		for _, page := range l.Shards {
			if _, waits := page.OutputWait(now); waits {
				return fmt.Sprintf("listener %s shard %d still waits for its output", l.Name, page.Index)
			}
		}
	}
	return "some shards still read"
}

// queryRecordsTimeout is how long nobody may be answered for the sake of records: less
// than it takes a resolver to ask another server.
const queryRecordsTimeout = 500 * time.Millisecond

// inFlight returns how many records are on their way, and how many of these are
// of queries.
func (s *server) inFlight() (n, queries uint64) {
	for _, l := range s.ledger.Listeners() {
		more := uint64(0)
		for _, page := range l.Shards {
			more += page.InFlight()
		}
		n += more
		if l.Protocol == "dns" {
			queries += more
		}
	}
	for _, d := range s.dnsServices() {
		more := d.inFlight()
		n, queries = n+more, queries+more
	}
	return n, queries
}

// state returns duplicates of the sockets and of the counters' memory: what each next process gets.
// With an error it is what there is, which the caller closes too.
func (s *server) state() (state handoff.State, err error) {
	if state.Memory, err = s.succession.Memory().Duplicate(); err != nil {
		return state, err
	}
	for _, opened := range s.listeners {
		l := opened.settings
		sockets, err := opened.Sockets()
		if err != nil {
			return state, err
		}
		state.Listeners = append(state.Listeners, handoff.Listener{Name: l.Name, Address: l.Address, Protocol: l.Protocol, Seed: opened.Seed(), Sockets: sockets})
	}
	return state, nil
}

// handOverToStandby hands over to a standby, if one waits, and tells when it has: nil says
// that there is none. It is how a process stops that has standbys.
func (s *server) handOverToStandby(ctx context.Context, sig os.Signal) <-chan error {
	if !s.succession.HasStandbys() {
		return nil
	}
	s.log.Info().Stringer("signal", sig).Msg("handover to a standby started")
	done := make(chan error, 1)
	go func() {
		late, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
		defer cancel()
		done <- s.succession.HandOver(late)
	}()
	return done
}
