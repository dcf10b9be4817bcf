package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
)

// attend answers a peer that has its offer.
func (s *Server) attend(a Active, p *peer) error {
	if p.hello.Role == Successor {
		if err := p.await(p.ctx, s, kindReady, 0); err != nil {
			return err
		}
		return s.handOver(p.ctx, a, p)
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
			err := s.handOver(ctx, a, p)
			stop()
			cancel()
			r.done <- err
			if own := (notYielded{}); err == nil || !errors.As(err, &own) {
				return err
			}
		case <-s.moved:
			return ErrMoved
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// notYielded says that it is the active process that could not hand over,
// and that its peer has done nothing wrong.
type notYielded struct{ error }

func (e notYielded) Unwrap() error { return e.error }

// handOver hands over to a peer. With an error the process is as active as
// before.
func (s *Server) handOver(ctx context.Context, a Active, p *peer) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.moved:
		return ErrMoved
	case <-ctx.Done():
		return notYielded{context.Cause(ctx)}
	}
	switch {
	case s.hasMoved():
		return ErrMoved
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
	err := a.Yield(ctx)
	switch {
	case err == nil:
		err = s.commit(ctx, a, p)
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
	a.Left(p.hello)
	close(s.left)
	s.listener.Close() // the socket is the peer's now, and this our duplicate
	return nil
}

// commit makes the peer the owner. The last message decides: a packet is sent
// as a whole or not at all.
func (s *Server) commit(ctx context.Context, a Active, p *peer) error {
	listening, err := s.listener.File()
	if err != nil {
		return err
	}
	err = p.send(ctx, message{Kind: kindYours, Device: s.file.device, Inode: s.file.inode}, listening)
	listening.Close()
	if err == nil {
		err = p.await(ctx, s, kindMine, s.limits.mine)
	}
	if err == nil {
		a.Leaving(p.hello)
		err = p.send(ctx, message{Kind: kindLeft})
	}
	if err != nil {
		return errors.Join(err, relisten(s.listener))
	}
	return nil
}

// tellMoved tells all others where to go, before the claim is given up: one
// that only saw its connection end would go for the claim. If the new one dies
// before they meet it, they have its counters.
func (s *Server) tellMoved(to *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heir, to.counters = Heir{to.hello.PID, to.counters}, nil
	for _, p := range s.waiting {
		if p != to {
			p.sendMoved(s.heir)
		}
	}
	close(s.moved)
}

// sendMoved fails if the peer has gone, and that is all right.
func (p *peer) sendMoved(to Heir) {
	m, files := message{Kind: kindMoved, PID: to.PID}, []*os.File(nil)
	if to.Counters != nil {
		m.Counters, files = true, []*os.File{to.Counters}
	}
	p.send(context.Background(), m, files...)
}
