package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
)

// attend answers a peer that has its offer.
func (s *Server) serveWaiting(a Active, p *peer) error {
	if p.hello.Role == Successor {
		if err := p.await(p.ctx, s, kindReady, 0); err != nil {
			return failedBeforeReady{err}
		}
		return s.handOverTo(p.ctx, a, p)
	}
	for {
		select {
		case m, more := <-p.messages:
			if !more {
				return context.Cause(p.ctx)
			}
			handoff.CloseFiles(m.files...)
			return fmt.Errorf("%q came, where nothing was asked", m.Kind)
		case r := <-p.requests:
			ctx, cancel := context.WithCancel(p.ctx)
			stop := context.AfterFunc(r.ctx, cancel)
			err := s.handOverTo(ctx, a, p)
			stop()
			cancel()
			r.done <- err
			if own := (notQuiesced{}); err == nil || !errors.As(err, &own) {
				return err
			}
		case <-s.handedOver:
			return ErrRedirected
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// notReady is the error of a successor that has ended, or has sent an invalid message, before it
// was ready.
type failedBeforeReady struct{ error }

func (e failedBeforeReady) Unwrap() error { return e.error }

// notYielded says that it is the active process that could not hand over,
// and that its peer has done nothing wrong.
type notQuiesced struct{ error }

func (e notQuiesced) Unwrap() error { return e.error }

// handOver hands over to a peer. With an error the process is as active as
// before.
func (s *Server) handOverTo(ctx context.Context, a Active, p *peer) error {
	select {
	case s.handoverLock <- struct{}{}:
		defer func() { <-s.handoverLock }()
	case <-s.handedOver:
		return ErrRedirected
	case <-ctx.Done():
		return notQuiesced{context.Cause(ctx)}
	}
	switch {
	case s.hasHandedOver():
		return ErrRedirected
	case s.isClosing():
		return notQuiesced{net.ErrClosed}
	}
	if p.hello.Role == Standby {
		// One that is stopped costs no pause in reading.
		if err := p.send(ctx, message{Kind: kindPrepare}); err != nil {
			return err
		}
		if err := p.await(ctx, s, kindReady, s.limits.prepare); err != nil {
			return err
		}
	}
	stopped := monotonicNow()
	err := a.Quiesce(ctx)
	switch {
	case err == nil:
		err = s.grantOwnership(ctx, a, p, stopped)
	case p.ctx.Err() != nil:
		err = context.Cause(p.ctx)
	default:
		err = notQuiesced{fmt.Errorf("the active process can't stop reading: %w", err)}
	}
	if err != nil {
		a.Resume(fmt.Errorf("%s: %w", describeProcess(p.cred, p.hello.PID), err))
		return err
	}
	s.redirectPeers(p)
	a.Committed(p.hello)
	close(s.committed)
	s.listener.Close() // the socket is the peer's now, and this our duplicate
	p.awaitReading(s.limits.firstRead)
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
func (s *Server) grantOwnership(ctx context.Context, a Active, p *peer, stopped int64) error {
	listening, err := s.listener.File()
	if err != nil {
		return err
	}
	yours := message{Kind: kindGrant, Device: s.file.device, Inode: s.file.inode, QuiescedAt: stopped}
	err = p.send(ctx, yours, listening)
	listening.Close()
	if err == nil {
		err = p.await(ctx, s, kindCommit, s.limits.commit)
	}
	if err == nil {
		s.announce(ctx, p, Announcement{PID: p.hello.PID, Memory: p.memory})
		a.Committing(p.hello)
		err = p.send(ctx, message{Kind: kindCommitted})
	}
	if err != nil {
		s.announce(ctx, p, Announcement{})
		return errors.Join(err, relisten(s.listener))
	}
	return nil
}

// tellHeir announces the process that is about to take over, with its memory, to all waiting
// peers but that process: this process may be stopped or killed when the new process reads. A peer
// that can't be told within limits.heir keeps the memory of this process. The zero Heir withdraws
// the announcement.
func (s *Server) announce(ctx context.Context, but *peer, heir Announcement) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.announce)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.waiting {
		if p != but {
			p.sendAnnouncement(ctx, kindAnnounce, heir)
		}
	}
}

// tellMoved tells all others where to go, before the claim is given up: one
// that only saw its connection end would go for the claim.
func (s *Server) redirectPeers(to *peer) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.announce)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newActive, to.memory = Announcement{PID: to.hello.PID, Memory: to.memory}, handoff.Memory{}
	for _, p := range s.waiting {
		if p != to {
			p.sendAnnouncement(ctx, kindRedirect, Announcement{PID: s.newActive.PID}) // it has the memory
		}
	}
	close(s.handedOver)
}

// tell announces the heir to a peer, and registers the peer with the heir's memory. It ignores the
// error of a peer that has gone.
func (p *peer) sendAnnouncement(ctx context.Context, k kind, heir Announcement) {
	memory, err := withRegistration(heir.Memory)
	if err != nil {
		memory = handoff.Memory{} // it waits for the path, where the heir listens
	}
	p.send(ctx, message{Kind: k, PID: heir.PID, Memory: memory.Files() != nil}, memory.Files()...)
	handoff.CloseFiles(memory.Control)
}
