package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// attend answers a peer that has its offer.
func (s *Server) attend(a Active, p *peer) error {
	if p.hello.Role == Successor {
		if err := p.await(p.ctx, s, kindReady, 0); err != nil {
			return notReady{err}
		}
		return s.handOverTo(p.ctx, a, p)
	}
	for {
		select {
		case m, more := <-p.messages:
			if !more {
				return context.Cause(p.ctx)
			}
			shut(m.files...)
			return fmt.Errorf("%q came, where nothing was asked", m.Kind)
		case r := <-p.pass:
			ctx, cancel := context.WithCancel(p.ctx)
			stop := context.AfterFunc(r.ctx, cancel)
			err := s.handOverTo(ctx, a, p)
			stop()
			cancel()
			r.done <- err
			if own := (notYielded{}); err == nil || !errors.As(err, &own) {
				return err
			}
		case <-s.moved:
			return ErrRedirected
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// notReady is the error of a successor that has ended, or has sent an invalid message, before it
// was ready.
type notReady struct{ error }

func (e notReady) Unwrap() error { return e.error }

// notYielded says that it is the active process that could not hand over,
// and that its peer has done nothing wrong.
type notYielded struct{ error }

func (e notYielded) Unwrap() error { return e.error }

// handOver hands over to a peer. With an error the process is as active as
// before.
func (s *Server) handOverTo(ctx context.Context, a Active, p *peer) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.moved:
		return ErrRedirected
	case <-ctx.Done():
		return notYielded{context.Cause(ctx)}
	}
	switch {
	case s.hasMoved():
		return ErrRedirected
	case s.isClosing():
		return notYielded{net.ErrClosed}
	}
	if p.hello.Role == Standby {
		// One that is stopped costs no pause in reading.
		if err := p.send(ctx, message{Kind: kindAsk}); err != nil {
			return err
		}
		if err := p.await(ctx, s, kindReady, s.limits.answer); err != nil {
			return err
		}
	}
	stopped := clock()
	err := a.Quiesce(ctx)
	switch {
	case err == nil:
		err = s.commit(ctx, a, p, stopped)
	case p.ctx.Err() != nil:
		err = context.Cause(p.ctx)
	default:
		err = notYielded{fmt.Errorf("the active process can't stop reading: %w", err)}
	}
	if err != nil {
		a.Resume(fmt.Errorf("%s: %w", process(p.cred, p.hello.PID), err))
		return err
	}
	s.tellMoved(p)
	a.Committed(p.hello)
	close(s.left)
	s.listener.Close() // the socket is the peer's now, and this our duplicate
	p.awaitReading(s.limits.reads)
	return nil
}

// awaitReading tells a peer that has taken over that the claim is given up, and waits until it
// reads, or for the limit.
func (p *peer) awaitReading(limit time.Duration) {
	p.conn.CloseWrite()
	select {
	case <-p.ctx.Done():
	case <-time.After(limit):
	}
}

// commit makes the peer the owner. The last message decides: a packet is sent
// as a whole or not at all. stopped is when this process began to stop reading.
func (s *Server) commit(ctx context.Context, a Active, p *peer, stopped int64) error {
	listening, err := s.listener.File()
	if err != nil {
		return err
	}
	yours := message{Kind: kindYours, Device: s.file.device, Inode: s.file.inode, Stopped: stopped}
	err = p.send(ctx, yours, listening)
	listening.Close()
	if err == nil {
		err = p.await(ctx, s, kindMine, s.limits.mine)
	}
	if err == nil {
		s.tellHeir(ctx, p, Announcement{PID: p.hello.PID, Memory: p.memory})
		a.Committing(p.hello)
		err = p.send(ctx, message{Kind: kindLeft})
	}
	if err != nil {
		s.tellHeir(ctx, p, Announcement{})
		return errors.Join(err, relisten(s.listener))
	}
	return nil
}

// tellHeir announces the process that is about to take over, with its memory, to all waiting
// peers but that process: this process may be stopped or killed when the new process reads. A peer
// that can't be told within limits.heir keeps the memory of this process. The zero Heir withdraws
// the announcement.
func (s *Server) tellHeir(ctx context.Context, but *peer, heir Announcement) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.heir)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.waiting {
		if p != but {
			p.tell(ctx, kindHeir, heir)
		}
	}
}

// tellMoved tells all others where to go, before the claim is given up: one
// that only saw its connection end would go for the claim.
func (s *Server) tellMoved(to *peer) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.heir)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heir, to.memory = Announcement{PID: to.hello.PID, Memory: to.memory}, Memory{}
	for _, p := range s.waiting {
		if p != to {
			p.tell(ctx, kindMoved, Announcement{PID: s.heir.PID}) // it has the memory
		}
	}
	close(s.moved)
}

// tell announces the heir to a peer, and registers the peer with the heir's memory. It ignores the
// error of a peer that has gone.
func (p *peer) tell(ctx context.Context, k kind, heir Announcement) {
	memory, err := heir.Memory.registered()
	if err != nil {
		memory = Memory{} // it waits for the path, where the heir listens
	}
	p.send(ctx, message{Kind: k, PID: heir.PID, Memory: memory.exists()}, memory.files()...)
	shut(memory.Control)
}
