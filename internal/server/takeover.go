package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard"
)

// takeOver becomes the owner of all that another process has, once that has
// stopped reading and its records are in its outputs. An error leaves the
// other serving.
func (s *server) takeOver(ctx context.Context, from *predecessor) error {
	s.log.Info().EmbedObject(from.logFields()).Str("version", from.offer.Version).Msg("taking over: it serves until this process is ready")
	began := time.Now()
	from.conn.SetMemory(memoryOf(s.counters))
	err := s.waitQuiesced(ctx, from)
	if err == nil {
		err = s.takeOverQuiesced(ctx, from)
	}
	switch {
	case errors.Is(err, takeover.ErrDisconnected): // it dies just now, and this process has all it needs
		return s.takeOverDead(ctx, from, metrics.TakeoverDied)
	case errors.Is(err, takeover.ErrRedirected), errors.Is(err, takeover.ErrLeaseHeld): // a standby was faster
		return retryError{error: err}
	case errors.Is(err, errNotQuiesced):
		return cli.WithHint(fmt.Errorf("take over from %s: %w", from.conn.Process(), err), silentRemedy)
	case err != nil:
		return fmt.Errorf("take over from %s: %w", from.conn.Process(), err)
	}
	s.ledger.Takeovers().Add(metrics.TakeoverUpgrade, time.Now())
	event := s.log.Info().EmbedObject(from.logFields()).Stringer("after", time.Since(began).Round(time.Microsecond))
	s.logWhenReading(event, "took over: its sockets, its queues and its counters", from.conn.QuiescedAt())
	return nil
}

// errNotQuiesced says that the active process has not answered the request to stop reading.
var errNotQuiesced = errors.New("the active process has neither stopped reading nor refused")

// waitQuiesced says that this process is, and waits until the process that serves has stopped
// reading. One that runs does so, or refuses, within its own drain timeout, which is taken
// to be this one's, or within hangTimeout; one that is stopped never does.
func (s *server) waitQuiesced(ctx context.Context, from *predecessor) error {
	patience := max(s.config.DrainTimeout, hangTimeout) + hangTimeout
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w in %s", errNotQuiesced, patience))
	defer cancel()
	return from.conn.Ready(ctx)
}

// takeOverQuiesced goes on where the other has stopped in order.
func (s *server) takeOverQuiesced(ctx context.Context, from *predecessor) error {
	if err := s.adopt(from); err != nil {
		return err
	}
	s.finalizeCounts(from) // all else is settled, and there is no way back
	epoch := from.counters.Epoch()
	server, err := from.conn.Commit(ctx)
	if err != nil {
		return err
	}
	s.takeover = server
	claim, err := becomeOwnerAfter(from.counters, epoch)
	if err != nil {
		return err
	}
	s.predecessorLeases = append(s.predecessorLeases, claim)
	return s.drainSurplus(ctx, from)
}

// adopt makes the groups ready to read from the sockets, and goes on with the
// counters. Both happen once.
func (s *server) adopt(from *predecessor) error {
	if from.counters != nil && from.inheritance == nil {
		from.inheritance = s.counters.Inherit(from.counters, s.listenerNames(from))
	}
	err := engine.Adopt(s.groups)
	if s.service.owns && errors.As(err, new(*shard.InUseError)) {
		err = cli.WithHint(err, "sockets of a .socket unit are the service manager's user's: "+
			"give that a ListenDatagram= line a shard")

	}
	return err
}

// listenerNames says what listeners of the one before are called here: what goes on is
// known by its address, and else by its name.
func (s *server) listenerNames(from *predecessor) map[string]string {
	names, heirs := make(map[string]string), make(map[string]bool)
	for _, l := range s.opened {
		had := s.continued[l]
		if had == nil {
			continue
		}
		names[had.Name], heirs[l.Name] = l.Name, true
		if l.Name != had.Name {
			s.log.Warn().Str("listener", l.Name).Str("was", had.Name).Str("address", l.Address).Msg("the listener has another name: its counters go on under that")
		}
	}
	for _, had := range from.offer.Listeners {
		if _, ok := names[had.Name]; !ok && heirs[had.Name] {
			names[had.Name] = "" // the one of that name here goes on from another's
		}
	}
	return names
}

// drainSurplus reads the sockets that there are no shards for any more. It comes when
// the other one can't go on, and is settled: records of these datagrams go to
// the files that it has written to. Where these take nothing, and ctx ends, they
// are given up as in drain.
func (s *server) drainSurplus(ctx context.Context, from *predecessor) error {
	done := make(chan struct{})
	defer close(done)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.config.DrainTimeout):
			s.outputs.Abort()
		case <-done:
		}
	})()
	closing := func(metrics.Socket) error { return nil } // nobody had counted
	if from.inheritance != nil {
		closing = from.inheritance.AddSurplusDrops
	}
	return engine.DrainSurplus(closing, s.groups)
}

// recoverTimeout: how long the outputs of a process that has ended may take to be looked at,
// all of them, while nobody reads. It is less than the process that hands over waits for
// the next message (five seconds).
const recoverTimeout = 2 * time.Second

func (s *server) finalizeCounts(from *predecessor) metrics.FinalCounts {
	soon, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	settlement, err := from.inheritance.Finalize(func(w metrics.Write) (int, error) { return file.Recover(soon, w) })
	if err != nil {
		s.log.Error().Err(err).Msg("what the one before had written last can't be told exactly")
	}
	return settlement
}

// becomeOwnerAfter makes this process the owner of a book, after the one of an epoch:
// the last steps that takeover.Lease asks for. A standby that has not heard of it
// may have the claim for a moment.
func becomeOwnerAfter(book *metrics.SharedCounters, epoch uint64) (*takeover.Lease, error) {
	claim, err := takeover.AcquireLease(book.Control(), epoch+1)
	for began := time.Now(); errors.Is(err, takeover.ErrLeaseHeld) && time.Since(began) < standbyLeasePatience; {
		time.Sleep(leasePause)
		claim, err = takeover.AcquireLease(book.Control(), epoch+1)
	}
	if err != nil {
		return nil, err
	}
	// A change of the epoch is for who has its claim. Whoever sees the change finds the book
	// marked, and does not take this process for one that goes on from a death.
	if book.Epoch() == epoch {
		book.MarkHandedOver()
	}
	if !book.AdvanceEpoch(epoch) {
		claim.Release()
		return nil, fmt.Errorf("epoch %d: %w", epoch+1, takeover.ErrLeaseHeld)
	}
	return claim, nil
}
