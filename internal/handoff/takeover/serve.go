package takeover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Active is the active process, as the protocol sees it. Any number of goroutines may call Offer
// at a time; only one goroutine at a time calls the other methods. After each Quiesce follows
// exactly one Resume or Committed.
type Active interface {
	// Offer returns the state to hand over; the files are closed after sending. An error refuses
	// the peer, with the text of the error and, if the error has one, of its Hint() string. A peer
	// waits ten seconds for the offer.
	Offer(Hello) (Offer, error)
	// SuccessorFailed reports a successor that has ended, or has sent an invalid message, before
	// ready. The call may be concurrent with other methods.
	SuccessorFailed(from Hello, reason error)
	// Quiesce stops reading, and returns when all read datagrams are in the outputs for good. On
	// an error nothing has changed, and Resume follows. The peer is told the error, except
	// net.ErrClosed: this process is ending, and the peer sees the end of the connection. ctx ends
	// with the peer.
	Quiesce(ctx context.Context) error
	// Resume reads on, because the handover failed.
	Resume(reason error)
	// Committing is called before committed is sent, and has to be quick. Committed follows; or
	// Resume, if the peer dies just then.
	Committing(to Hello)
	// Committed releases the lease. The peer may be reading already, so Committed has to be quick,
	// and leaves the rest of the shutdown for later.
	Committed(to Hello)
}

// Serve serves peers until a peer has taken over, and then returns nil: after Committed, after the
// redirect of all peers, and when the new process reads or a second has passed. Then the process
// has only to exit. Otherwise Serve returns the cause of ctx, or net.ErrClosed after Close. Call
// Serve once.
func (s *Server) Serve(ctx context.Context, a Active) error {
	var peers sync.WaitGroup
	defer func() {
		peers.Wait()
		s.newActive.Memory.Close()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.listening().SetDeadline(pastDeadline) })()
	for {
		l := s.listening()
		conn, err := l.AcceptUnix()
		switch {
		case err == nil:
			peers.Go(func() { s.servePeer(ctx, a, conn) })
			continue
		case s.hasHandedOver():
			peers.Wait() // redirects are sent before ctx ends
			return nil
		case s.isClosing():
			return net.ErrClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case l != s.listening(): // RestorePath has closed l
			continue
		case !isTransient(err):
			return fmt.Errorf("%s: %w", s.path, err)
		}
		select {
		case <-time.After(acceptPause):
		case <-s.handedOver:
		case <-s.closing:
		case <-ctx.Done():
		}
	}
}

// acceptPause: how long to wait while the kernel lacks resources to accept.
const acceptPause = 100 * time.Millisecond

// isTransient reports whether accept may succeed later (accept(2)).
func isTransient(err error) bool {
	return slices.ContainsFunc([]error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.ECONNABORTED, unix.EINTR, unix.EAGAIN},
		func(errno error) bool { return errors.Is(err, errno) })
}

func (s *Server) hasHandedOver() bool { return isClosed(s.handedOver) }
func (s *Server) isClosing() bool     { return isClosed(s.closing) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// HandOver hands over to the first standby that is able to take over. HandOver returns nil after a
// takeover, also by a successor: then Committed was called. On an error the process is active as
// before; the error is ErrNoStandby, the error of Quiesce, or the cause of ctx. For a process that
// has been told to stop.
func (s *Server) HandOver(ctx context.Context) error {
	tried := make(map[*peer]bool)
	for {
		p := s.nextStandby(tried)
		switch {
		case s.hasHandedOver():
			<-s.committed
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p == nil:
			return ErrNoStandby
		}
		tried[p] = true
		done := make(chan error, 1)
		select {
		case p.requests <- handoverRequest{ctx, done}:
			err := <-done
			if err == nil || errors.As(err, new(notQuiesced)) {
				return err
			}
		case <-p.done:
		case <-s.handedOver:
		case <-ctx.Done():
		}
	}
}

// handoverRequest asks the goroutine of a standby for a handover to the standby.
type handoverRequest struct {
	ctx  context.Context
	done chan<- error
}

func (s *Server) nextStandby(tried map[*peer]bool) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.waiting {
		if p.hello.Role == Standby && !tried[p] {
			return p
		}
	}
	return nil
}
