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

// Active is what the active process does on behalf of its peers. Offer is
// called by any number of goroutines at a time; of the others one at a time.
// Every Yield is followed by exactly one Resume or Left.
type Active interface {
	// Offer returns what there is to hand over; its files are closed when
	// they have been sent. An error refuses, in the words of its text and, if
	// it has one, of its Hint() string. The peer waits ten seconds for it.
	Offer(Hello) (Offer, error)
	// Gone is called for a successor that has ended, or has sent an invalid message, before it
	// was ready. It may be called while other methods run.
	SuccessorFailed(from Hello, reason error)
	// Yield stops reading, and returns once all that was read is in the
	// outputs for good. An error, with which Resume follows, keeps everything
	// as it was. The peer hears of it, but not of net.ErrClosed: that says that
	// this process ends, which the peer will see. ctx ends when the peer does.
	Quiesce(ctx context.Context) error
	// Resume reads on: nobody has taken over, for the reason that it says.
	Resume(reason error)
	// Leaving is called when a peer has all, and before it hears that this
	// process has left: so it is to be quick. Left follows, or Resume where the
	// peer dies at this very moment.
	Committing(to Hello)
	// Left gives up the claim to a peer, which may read by now: so it is to be
	// quick, and to leave the rest of the ending for later.
	Committed(to Hello)
}

// Serve answers peers until one has taken over. It returns nil then, after
// Left, and when all who have come so far have been told, and the new one reads, or a second has
// passed; the cause of ctx when that is done; net.ErrClosed after Close. Only
// the first leaves nothing to do but to exit. It may be called once.
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
			peers.Wait() // they say so before ctx ends
			return nil
		case s.isClosing():
			return net.ErrClosed
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case l != s.listening(): // Renew has closed it
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

// acceptPause is how long to wait where the kernel has nothing to accept with.
const acceptPause = 100 * time.Millisecond

// transient says whether accepting can succeed later (accept(2)).
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

// Pass hands over to the first standby that can take over, as to a successor,
// and returns nil when one has, or when a successor was faster: then Left was
// called. It is for a process that is told to stop. Otherwise the process is
// as active as before, and the error is ErrNoStandby, or what Yield or ctx
// says.
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
			if own := (notQuiesced{}); err == nil || errors.As(err, &own) {
				return err
			}
		case <-p.done:
		case <-s.handedOver:
		case <-ctx.Done():
		}
	}
}

// passage asks a standby's goroutine to hand over to it.
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
