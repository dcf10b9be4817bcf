package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff"
)

// quiesce stops reading, and waits until the outputs have accepted all records. With an error the
// groups read on: a shard hangs, an output accepts nothing for the patience of waitGroups, or the
// peer has ended.
func (s *server) quiesce(ctx, peer context.Context) error {
	for _, g := range s.listeners {
		g.Quiesce()
	}
	s.loop.quiesced = s.listeners
	if err := s.waitGroups(ctx, peer); err != nil {
		return err
	}
	s.succession.StopWatching()
	for _, d := range s.dnsServices() {
		d.Pause()
	}
	return s.waitRecords(ctx, peer)
}

// waitGroups waits until Run of every group has returned. A shard that waits for its output returns
// when the output accepts records. In a process with a signal to stop, waitGroups aborts the
// outputs at the end of ctx: records that are not accepted are lost.
func (s *server) waitGroups(ctx, peer context.Context) error {
	var errs []error
	stop, late, gone := s.loop.signals.stop, ctx.Done(), peer.Done()
	if s.loop.role == handoff.QuiescingToStop {
		stop, gone = nil, nil
	} else {
		late = nil
	}
	patience := max(s.config.DrainTimeout, handoff.HangTimeout)
	stuck := time.NewTimer(patience)
	defer stuck.Stop()
	detector, tick := handoff.NewHangDetector(s.ledger), time.NewTicker(handoff.HangCheckInterval)
	defer tick.Stop()
	for len(errs) < len(s.listeners) {
		select {
		case err := <-s.loop.ended:
			errs = append(errs, err)
		case request := <-stop:
			s.log.Info().Stringer("signal", request).Msg("stop requested during a handover")
			s.changeRole(handoff.StopRequested)
			s.watchSecond(request.at)
			stop, late, gone = nil, ctx.Done(), nil
		case <-gone:
			return s.cancelQuiesce(errs, context.Cause(peer))
		case <-s.loop.signals.reload: // a rotated or full output file may be the reason of the wait
			s.ReopenOutputs()
			s.service.reloading()
			s.loop.reloadPending = true
		case <-late:
			late = nil
			s.outputs.Abort()
		case now := <-tick.C:
			if hanging, _ := detector.Check(now); len(hanging) > 0 {
				return s.cancelQuiesce(errs, cli.WithHint(s.hangError(hanging), hangRemedy))
			}
		case now := <-stuck.C:
			return s.cancelQuiesce(errs, fmt.Errorf("%s after %s", s.describeWait(now), patience))
		}
	}
	return errors.Join(errs...)
}

// cancelQuiesce lets all groups read on. Groups of which Run has returned are s.loop.quiesced
// afterwards, for startGroups: the results are in errs, or come from s.loop.ended.
func (s *server) cancelQuiesce(errs []error, reason error) error {
	s.loop.quiesced = nil
	for _, g := range s.listeners {
		if !g.Resume() {
			s.loop.quiesced = append(s.loop.quiesced, g)
		}
	}
	for len(errs) < len(s.loop.quiesced) {
		errs = append(errs, <-s.loop.ended)
	}
	return errors.Join(append([]error{reason}, errs...)...)
}

// describeWait names a shard that waits for its output.
func (s *server) describeWait(now time.Time) string {
	for _, l := range s.ledger.Listeners() {
		for _, counters := range l.Shards {
			if _, waits := counters.OutputWait(now); waits {
				return fmt.Sprintf("listener %s shard %d still waits for its output", l.Name, counters.Index)
			}
		}
	}
	return "some shards still read"
}

// queryRecordsTimeout is how long records of queries may delay a handover, in which no query is
// answered: less than the time after which a resolver asks the next server.
const queryRecordsTimeout = 500 * time.Millisecond

// waitRecords waits until no record is in flight. Records of queries alone delay a handover for
// queryRecordsTimeout at most.
func (s *server) waitRecords(ctx, peer context.Context) error {
	gone := peer.Done()
	if s.loop.role == handoff.QuiescingToStop {
		gone = nil
	}
	for began := time.Now(); ; {
		n, queries := s.inFlight()
		if n == 0 {
			return nil
		}
		if ctx.Err() != nil || n == queries && time.Since(began) > queryRecordsTimeout {
			return fmt.Errorf("%d records are still on their way to the outputs", n)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-gone:
			return context.Cause(peer)
		case <-ctx.Done():
		}
	}
}

// inFlight returns the number of records in flight, and how many of these are of queries.
func (s *server) inFlight() (n, queries uint64) {
	for _, l := range s.ledger.Listeners() {
		for _, counters := range l.Shards {
			more := counters.InFlight()
			n += more
			if l.Protocol == "dns" {
				queries += more
			}
		}
	}
	for _, d := range s.dnsServices() {
		more := d.InFlight()
		n, queries = n+more, queries+more
	}
	return n, queries
}
