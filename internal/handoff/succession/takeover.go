package succession

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
	"github.com/udpshard/udpshard/internal/output/file"
	"github.com/udpshard/udpshard/metrics"
)

// Upgrade takes over from an active process, which stops reading at the request of this process.
// With an error the active process reads on.
func (s *Succession) Upgrade(ctx context.Context, p *Predecessor) error {
	s.log.Info().EmbedObject(p.LogFields()).Str("version", p.Offer.Version).Msg("takeover started")
	began := time.Now()
	s.Register(p)
	err := s.waitQuiesced(ctx, p)
	if err == nil {
		err = s.takeOverQuiesced(ctx, p)
	}
	switch {
	case errors.Is(err, takeover.ErrDisconnected): // the active process ends: its offer is enough
		return s.TakeOverDead(ctx, p, metrics.TakeoverDied)
	case errors.Is(err, takeover.ErrRedirected), errors.Is(err, takeover.ErrLeaseHeld):
		return Retry(err) // a standby was faster
	case errors.Is(err, errNotQuiesced):
		return cli.WithHint(fmt.Errorf("take over from %s: %w", p.conn.Process(), err), silentRemedy)
	case err != nil:
		return fmt.Errorf("take over from %s: %w", p.conn.Process(), err)
	}
	event := s.countTakeover(s.log.Info(), p, began, metrics.TakeoverUpgrade)
	s.finish(event, p.conn.QuiescedAt())
	return nil
}

// errNotQuiesced: the active process has not answered the request to stop reading.
var errNotQuiesced = errors.New("the active process has neither stopped reading nor refused")

// waitQuiesced asks the active process to stop reading, and waits until it has stopped. A running
// process stops or refuses within QuiesceTimeout; a stopped process never answers.
func (s *Succession) waitQuiesced(ctx context.Context, p *Predecessor) error {
	late := fmt.Errorf("%w in %s", errNotQuiesced, s.QuiesceTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.QuiesceTimeout, late)
	defer cancel()
	return p.conn.Ready(ctx)
}

// TakeOverStopping takes over, as a standby, from a process that was told to stop, and has stopped
// reading.
func (s *Succession) TakeOverStopping(ctx context.Context, p *Predecessor) error {
	began := time.Now()
	if err := s.takeOverQuiesced(ctx, p); err != nil {
		return err
	}
	s.server.ReopenOutputs()
	s.finish(s.countTakeover(s.log.Warn(), p, began, metrics.TakeoverStop), p.conn.QuiescedAt())
	return nil
}

// takeOverQuiesced takes over from a process that has stopped reading and waits for this process.
func (s *Succession) takeOverQuiesced(ctx context.Context, p *Predecessor) error {
	if err := s.server.Adopt(p); err != nil {
		return err
	}
	s.finalizeCounts(p) // the last step before Commit, which is final
	epoch := p.Counters.Epoch()
	path, err := p.conn.Commit(ctx)
	if err != nil {
		return err
	}
	s.path = path
	lease, err := becomeOwnerAfter(p.Counters, epoch)
	if err != nil {
		return err
	}
	s.predecessorLeases = append(s.predecessorLeases, lease)
	return s.server.DrainSurplus(ctx, p)
}

// TakeOverDead takes over from a process that has ended without a handover.
func (s *Succession) TakeOverDead(
	ctx context.Context, p *Predecessor, reason metrics.TakeoverReason,
) error {
	began := time.Now()
	stopped := p.stoppedReading(began)
	var epoch uint64
	err := s.retryBecomeOwner(ctx, s.dialActive, func() error {
		// The process with the lease of the current epoch is alive, or is about to take over.
		epoch = p.Counters.Epoch()
		dead, err := takeover.AcquireLease(p.Counters.Control(), epoch)
		if err != nil {
			return err
		}
		defer dead.Release()
		return s.becomeOwner(p, epoch, p.listen)
	})
	if err != nil {
		return err
	}
	if at, alive := p.stoppedOwner(epoch); alive { // a stopped owner may wake up, and write
		return s.runBesideStalled(ctx, p, stall{at, began, reason, 0,
			"the process before the predecessor is alive and does not run"})
	}
	if err := s.server.Adopt(p); err != nil {
		return err
	}
	final := s.finalizeCounts(p)
	if err := s.server.DrainSurplus(ctx, p); err != nil {
		return err
	}
	s.server.ReopenOutputs()
	event := s.countTakeover(s.log.Warn(), p, began, reason)
	s.finish(event.Uint64("lost_in_crash", final.Lost), stopped)
	return nil
}

// TakeOverStored takes over from the store of the service manager: sockets, and the counters of an
// ended process, if counters are stored.
func (s *Succession) TakeOverStored(ctx context.Context, p *Predecessor) error {
	if p.Counters != nil {
		reason := metrics.TakeoverRestart
		if p.disconnected {
			reason = metrics.TakeoverDied
		}
		return s.TakeOverDead(ctx, p, reason)
	}
	if err := s.listenAt(takeover.ListenNow); errors.Is(err, takeover.ErrPathLocked) {
		s.logPathUnavailable(err) // datagrams wait
	} else if err != nil {
		return err
	}
	if err := s.server.Adopt(p); err != nil {
		return err
	}
	if err := s.server.DrainSurplus(ctx, p); err != nil {
		return err
	}
	s.finish(s.log.Info().Str("reason", "stored_sockets"), time.Time{})
	return nil
}

// TakeOverStalled takes over from a live process of which a shard has not read for the timeout of
// the Watch. When the process wakes up, it finds a later epoch, and exits.
func (s *Succession) TakeOverStalled(ctx context.Context, w *Watch, stalled string) error {
	began := time.Now()
	p, epoch := w.predecessor, w.epoch
	// Only the epoch shows a new owner: the socket at the path may be the stalled process's.
	replaced := func(context.Context) (*Predecessor, bool) {
		return nil, p.Counters.Epoch() != epoch
	}
	err := s.retryBecomeOwner(ctx, replaced, func() error {
		return s.becomeOwner(p, epoch, takeover.SeizeNow)
	})
	if err != nil {
		return err
	}
	return s.runBesideStalled(ctx, p,
		stall{epoch, began, metrics.TakeoverStalled, w.timeout, stalled})
}

// stall describes a live process that is replaced.
type stall struct {
	epoch   uint64 // of the counters, when the process was their owner
	began   time.Time
	reason  metrics.TakeoverReason
	timeout time.Duration // after timeout without a heartbeat the process counted as stalled
	text    string
}

// runBesideStalled takes sockets and counters over from a live process that does not run, and may
// wake up.
func (s *Succession) runBesideStalled(ctx context.Context, p *Predecessor, is stall) error {
	stopped := p.stoppedReading(is.began)
	written := findLastWrites(p.Counters)
	if err := s.server.Adopt(p); err != nil {
		return err
	}
	if err := s.server.DrainSurplus(ctx, p); err != nil {
		return err
	}
	s.watchStalled(p, is.epoch, written)
	if !p.Offer.Foreign {
		s.stalledPID = p.Offer.PID
	}
	s.server.ReopenOutputs()
	event := s.countTakeover(s.log.Warn(), p, is.began, is.reason).Str("stalled", is.text)
	if is.reason == metrics.TakeoverStalled {
		next := s.ledger.Takeovers().Patience(time.Now(), s.StandbyAfter)
		event = event.Stringer("patience", is.timeout).Stringer("next_patience", next)
	}
	s.finish(event, stopped)
	return nil
}

// countTakeover counts a takeover, and adds the fields of the takeover to its log line.
func (s *Succession) countTakeover(
	line *zerolog.Event, p *Predecessor, began time.Time, reason metrics.TakeoverReason,
) *zerolog.Event {
	s.ledger.Takeovers().Add(reason, time.Now())
	after := time.Since(began).Round(time.Microsecond)
	return line.EmbedObject(p.LogFields()).Stringer("after", after).Stringer("reason", reason)
}

// finish keeps the log line of a takeover until every shard reads.
func (s *Succession) finish(event *zerolog.Event, stopped time.Time) {
	s.finished = &Finished{event, stopped}
}

// recoverTimeout is how long reading the output files of a process that has ended may take, in
// total, while no process reads datagrams. A process that hands over waits five seconds for the
// next message.
const recoverTimeout = 2 * time.Second

// finalizeCounts counts the datagrams that the predecessor had read and not delivered, by the
// predecessor's output files.
func (s *Succession) finalizeCounts(p *Predecessor) metrics.FinalCounts {
	soon, cancel := context.WithTimeout(context.Background(), recoverTimeout)
	defer cancel()
	final, err := p.inheritance.Finalize(func(w metrics.Write) (int, error) {
		return file.Recover(soon, w)
	})
	if err != nil {
		s.log.Error().Err(err).Str("effect", "lost_in_crash is not exact").
			Msg("last write of the predecessor unknown")
	}
	return final
}
