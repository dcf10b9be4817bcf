package server

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

// handover implements takeover.Active for a server: Quiesce sends a request to the main loop.
type handover struct {
	server   *server
	requests chan quiesceRequest // from Quiesce to the main loop
	begun    bool                // the main loop has the request, and waits for ended
	ended    chan bool           // to the main loop: whether the peer has taken over
	closed   chan struct{}       // closed when the main loop has ended
	sameUnit bool                // the service manager has the PID of the peer as the main PID
}

// quiesceRequest asks the main loop to stop reading.
type quiesceRequest struct {
	peer context.Context // ends with the peer
	done chan<- error
}

func newHandover(s *server) *handover {
	return &handover{server: s, requests: make(chan quiesceRequest), ended: make(chan bool),
		closed: make(chan struct{})}
}

// close makes each later Quiesce fail.
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
	peer := succession.ProcessFields{PID: hello.PID, Foreign: hello.Foreign}
	event := s.log.Info().EmbedObject(peer).Str("version", hello.Version)
	switch hello.Role {
	case takeover.Successor:
		event.Msg("successor connected")
	case takeover.Standby:
		event.Msg("standby connected")
	default:
		return offer, fmt.Errorf("role %q unknown: not a successor or standby", hello.Role)
	}
	if offer.State, err = s.state(); err != nil {
		return offer, err
	}
	for i, l := range s.listeners {
		if offer.Listeners[i].Stream, err = l.dns.Stream(); err != nil {
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

// Quiesce implements takeover.Active. The error of a replaced process is net.ErrClosed: the peer
// dials the new active process.
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
		return fmt.Errorf("the active process ends: %w", net.ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Resume implements takeover.Active.
func (h *handover) Resume(reason error) {
	h.server.log.Warn().Err(reason).Bool("reading_on", h.begun).Msg("handover failed")
	if h.sameUnit { // the peer may be dead
		h.sameUnit = false
		h.server.service.setMainPID(os.Getpid())
	}
	if h.begun {
		h.ended <- false
	}
}

// Committing implements takeover.Active. The service manager reads messages in the order of
// sending: the message with the new main PID comes before the messages of the peer.
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

// serveHandover stops reading for a peer. If the peer does not take over, the groups read on.
func (s *server) serveHandover(ctx context.Context, request quiesceRequest) {
	s.changeRole(handoff.QuiesceRequested)
	late, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
	stopAlive := s.succession.KeepAlive()
	request.done <- s.quiesce(late, request.peer)
	cancel()
	handedOver := <-s.handover.ended
	stopAlive()
	if handedOver {
		s.changeRole(handoff.HandoverCommitted)
		return
	}
	s.changeRole(handoff.Resumed)
	s.startGroups(ctx, s.loop.quiesced)
	s.beginPendingReload()
	for _, d := range s.dnsServices() {
		if err := d.Resume(); err != nil {
			s.log.Error().Err(err).Msg("DNS over TCP unavailable")
		}
	}
	if s.loop.role == handoff.Stopping && s.loop.passedOn == nil {
		s.changeRole(handoff.Failed) // the process drains
	}
}

// state returns duplicates of the sockets and of the counters' memory. The caller closes the state,
// also with an error.
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
		state.Listeners = append(state.Listeners, handoff.Listener{Name: l.Name, Address: l.Address,
			Protocol: l.Protocol, Seed: opened.Seed(), Sockets: sockets})
	}
	return state, nil
}
