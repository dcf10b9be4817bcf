package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
)

// serveWaiting serves a peer in the queue: until the handover to the peer, or until the peer or
// this process ends.
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
			return fmt.Errorf("unexpected %q", m.Kind)
		case r := <-p.requests:
			ctx, cancel := context.WithCancel(p.ctx)
			stop := context.AfterFunc(r.ctx, cancel)
			err := s.handOverTo(ctx, a, p)
			stop()
			cancel()
			r.done <- err
			if err == nil || !errors.As(err, new(notQuiesced)) {
				return err
			}
		case <-s.handedOver:
			return ErrRedirected
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
	}
}

// failedBeforeReady is the error of a successor that has ended, or has sent an invalid message,
// before ready.
type failedBeforeReady struct{ error }

func (e failedBeforeReady) Unwrap() error { return e.error }

// notQuiesced is an error of the active process, not of the peer: a standby stays in the queue.
type notQuiesced struct{ error }

func (e notQuiesced) Unwrap() error { return e.error }

// handOverTo hands over to a peer. After an error this process is active as before.
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
		// Before Quiesce, so that a stopped standby causes no pause in reading.
		if err := p.send(ctx, message{Kind: kindPrepare}); err != nil {
			return err
		}
		if err := p.await(ctx, s, kindReady, s.limits.prepare); err != nil {
			return err
		}
	}
	quiescedAt := monotonicNow()
	err := a.Quiesce(ctx)
	switch {
	case err == nil:
		err = s.grantOwnership(ctx, a, p, quiescedAt)
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
	s.listener.Close() // only this duplicate: the socket belongs to the peer now
	p.awaitReading(s.limits.firstRead)
	return nil
}

// awaitReading tells the new process that the lease is released, and waits until that process
// reads, or for the limit.
func (p *peer) awaitReading(limit time.Duration) {
	p.conn.CloseWrite()
	select {
	case <-p.ctx.Done():
	case <-time.After(limit):
	}
}

// grantOwnership sends grant, waits for commit, and sends committed. The last message decides: a
// packet is sent whole or not at all. quiescedAt is when this process began to stop reading.
func (s *Server) grantOwnership(ctx context.Context, a Active, p *peer, quiescedAt int64) error {
	listening, err := s.listener.File()
	if err != nil {
		return err
	}
	grant := message{Kind: kindGrant, Device: s.file.device, Inode: s.file.inode, QuiescedAt: quiescedAt}
	err = p.send(ctx, grant, listening)
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
		s.announce(context.Background(), p, Announcement{}) // ctx may have ended with the peer
		return errors.Join(err, relisten(s.listener))
	}
	return nil
}

// announce announces the process that is about to take over, with its memory, to all waiting peers
// except that process. This process may be stopped or killed while the new process reads. A peer
// that does not receive the message within limits.announce keeps the memory of this process. The
// zero Announcement withdraws an announcement.
func (s *Server) announce(ctx context.Context, but *peer, next Announcement) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.announce)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.waiting {
		if p != but {
			p.sendAnnouncement(ctx, kindAnnounce, next)
		}
	}
}

// redirectPeers sends all waiting peers to the new process, before the lease is released. Without
// redirect, a peer would see only the end of its connection, and compete for the lease.
func (s *Server) redirectPeers(to *peer) {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.announce)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newActive, to.memory = Announcement{PID: to.hello.PID, Memory: to.memory}, handoff.Memory{}
	for _, p := range s.waiting {
		if p != to {
			p.sendAnnouncement(ctx, kindRedirect, Announcement{PID: s.newActive.PID}) // the memory was sent with announce
		}
	}
	close(s.handedOver)
}

// sendAnnouncement announces the new process to a peer, and registers the peer in the memory of
// the new process. An error is ignored: the peer has ended.
func (p *peer) sendAnnouncement(ctx context.Context, k kind, next Announcement) {
	memory, err := withRegistration(next.Memory)
	if err != nil {
		memory = handoff.Memory{} // without registration the peer waits for the new process at the path
	}
	p.send(ctx, message{Kind: k, PID: next.PID, Memory: memory.Files() != nil}, memory.Files()...)
	handoff.CloseFiles(memory.Control)
}
