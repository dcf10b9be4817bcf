package takeover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
)

// peer is a successor or standby, as the active process sees it. Two goroutines serve a peer:
// servePeer, and startReading.
type peer struct {
	*wire
	hello    Hello
	ctx      context.Context // ends with the connection
	messages chan message    // closed at the end of the connection
	memory   handoff.Memory  // received with ready; may be zero
	requests chan handoverRequest
	done     chan struct{} // closed when servePeer returns
}

var errPeerDisconnected = errors.New("connection ended")

// servePeer serves the connection of a peer from hello to its end.
func (s *Server) servePeer(ctx context.Context, a Active, conn *net.UnixConn) {
	defer conn.Close()
	w, err := newWire(conn, s.version, s.limits)
	if err != nil {
		return // the connection has ended: otherwise credentials exist
	}
	if !isTrusted(w.cred) {
		w.refuse(ctx, hinted{fmt.Errorf("uid %d may not take over", w.cred.Uid), "run both processes as one user"})
		return
	}
	hello, err := w.receiveHello(ctx)
	if err != nil {
		w.refuse(ctx, err)
		return
	}
	p := &peer{wire: w, hello: hello, messages: make(chan message, 4), requests: make(chan handoverRequest), done: make(chan struct{})}
	defer close(p.done)
	if err := s.registerSuccessor(p); err != nil {
		w.refuse(ctx, err)
		return
	}
	defer s.remove(p)
	offer, err := a.Offer(hello)
	if err != nil {
		w.refuse(ctx, err)
		return
	}
	err = p.sendOffer(ctx, offer)
	offer.Close()
	if err != nil {
		s.reportFailure(ctx, a, p, err)
		w.refuse(ctx, err)
		return
	}
	if !s.enqueue(p) {
		p.sendAnnouncement(ctx, kindRedirect, s.newActive)
		return
	}
	defer p.startReading(ctx)()
	if err := s.serveWaiting(a, p); err != nil && !s.hasHandedOver() {
		if errors.As(err, new(failedBeforeReady)) {
			s.reportFailure(ctx, a, p, err)
		}
		w.refuse(ctx, err)
	}
}

// registerSuccessor admits one successor at a time.
func (s *Server) registerSuccessor(p *peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.hello.Role != Successor {
		return nil
	}
	if s.successor != nil {
		return hinted{fmt.Errorf("%s is taking over", describeProcess(s.successor.cred, s.successor.hello.PID)), "wait for that process, or stop it"}
	}
	s.successor = p
	return nil
}

// enqueue adds a peer to the queue, unless this process has handed over.
func (s *Server) enqueue(p *peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hasHandedOver() {
		return false
	}
	s.waiting = append(s.waiting, p)
	return true
}

func (s *Server) remove(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.successor == p {
		s.successor = nil
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(q *peer) bool { return q == p })
}

// reportFailure reports a successor that ended before ready.
func (s *Server) reportFailure(ctx context.Context, a Active, p *peer, reason error) {
	if p.hello.Role == Successor && ctx.Err() == nil && !s.isClosing() {
		a.SuccessorFailed(p.hello, fmt.Errorf("%s: %w", describeProcess(p.cred, p.hello.PID), reason))
	}
}

// refuse sends a refusal. If ctx is done, or why is net.ErrClosed, this process is ending: the
// peer gets no refusal, so that it may take over.
func (w *wire) refuse(ctx context.Context, why error) {
	if ctx.Err() == nil && !errors.Is(why, io.EOF) && !errors.Is(why, errPeerDisconnected) && !errors.Is(why, net.ErrClosed) {
		w.send(ctx, message{Kind: kindRefused, Reason: fmt.Sprintf("%.4000s", why), Hint: fmt.Sprintf("%.4000s", hintOf(why))})
	}
}

// startReading starts to receive messages of the peer. stop closes the connection and waits for
// the end of receiving.
func (p *peer) startReading(ctx context.Context) (stop func()) {
	var cancel context.CancelCauseFunc
	p.ctx, cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(p.messages)
		for {
			m, files, err := p.receive(p.ctx, 0)
			if err == nil && len(p.messages) == cap(p.messages) {
				err = errors.New("unexpected messages")
			}
			if errors.Is(err, io.EOF) {
				err = errPeerDisconnected
			}
			if err != nil {
				handoff.CloseFiles(files...)
				cancel(err)
				return
			}
			m.files = files
			p.messages <- m
		}
	}()
	return func() {
		p.conn.Close()
		cancel(errPeerDisconnected)
		for m := range p.messages {
			handoff.CloseFiles(m.files...)
		}
		p.memory.Close()
	}
}

// await waits for a message of a kind; limit 0 is none.
func (p *peer) await(ctx context.Context, s *Server, want kind, limit time.Duration) error {
	var late <-chan time.Time
	if limit > 0 {
		late = time.After(limit)
	}
	select {
	case m, more := <-p.messages:
		if !more {
			return context.Cause(p.ctx)
		}
		if m.Kind != want {
			handoff.CloseFiles(m.files...)
			return unexpectedKind(m.Kind, want)
		}
		if m.Memory {
			p.memory.Close() // of a handover that failed
			p.memory = handoff.MemoryOf(m.files)
		}
		return nil
	case <-late:
		return fmt.Errorf("no %q within %s", want, limit)
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.handedOver:
		return ErrRedirected
	}
}
