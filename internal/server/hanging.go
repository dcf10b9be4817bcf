package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/metrics"
)

// hangError returns an error that names the hanging shards. hangError logs each hanging shard, with
// the records and bytes that wait.
func (s *server) hangError(hanging []metrics.StalledShard) error {
	var errs []error
	for _, h := range hanging {
		r := h.Shard.Read()
		s.log.Error().Str("listener", h.Listener).Int("shard", h.Shard.Index).
			Stringer("silent_for", h.For.Round(time.Millisecond)).
			Uint64("in_flight", r.InFlight).Uint64("queue_bytes", r.QueueBytes).Msg("shard hanging")
		errs = append(errs, fmt.Errorf("listener %s shard %d hangs: no sign of life for %s",
			h.Listener, h.Shard.Index, h.For.Round(100*time.Millisecond)))
	}
	return cli.Join(errs...)
}

// refuseHanging returns an error if a shard hangs: a handover would wait for the shard, and no
// shard would read meanwhile. Any goroutine may call refuseHanging.
func (s *server) refuseHanging(ctx context.Context) error {
	detector := handoff.NewHangDetector(s.ledger)
	for {
		hanging, more := detector.Check(time.Now())
		switch {
		case len(hanging) > 0:
			return cli.WithHint(s.hangError(hanging), hangRemedy)
		case !more:
			return nil
		}
		select {
		case <-time.After(handoff.HangCheckInterval):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hangRemedy is the hint for a refused successor. A process with a hanging shard ends at SIGTERM.
const hangRemedy = "stop the active process (kill -TERM PID) and start this process again; or " +
	"start this process with --standby: a standby takes over as soon as datagrams wait for the " +
	"hanging shard"

// awaitGroups waits until Run of every group has returned. At the end of late, awaitGroups aborts
// the outputs, so that no shard waits for an output. awaitGroups does not wait for hanging shards,
// and for no shard longer than HangTimeout after late. Then loop.hanging is true, since a
// shard may wake up, and the error names the hanging shards, or the number of listeners that still
// read.
func (s *server) awaitGroups(late context.Context) error {
	var errs []error
	detector := handoff.NewHangDetector(s.ledger)
	tick := time.NewTicker(handoff.HangCheckInterval)
	defer tick.Stop()
	expired := late.Done()
	var last <-chan time.Time
	for len(errs) < len(s.listeners) {
		reading := len(s.listeners) - len(errs)
		select {
		case err := <-s.loop.ended:
			errs = append(errs, err)
		case <-expired:
			s.outputs.Abort()
			expired, last = nil, time.After(handoff.HangTimeout)
		case now := <-tick.C:
			if hanging, _ := detector.Check(now); s.onlyHanging(hanging, reading) {
				s.loop.hanging = true
				return errors.Join(append(errs, s.hangError(hanging))...)
			}
		case <-last:
			s.loop.hanging = true
			err := fmt.Errorf("%d of %d listeners still read", reading, len(s.listeners))
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// onlyHanging returns whether the hanging shards belong to so many groups, and no other shard has a
// thread.
func (s *server) onlyHanging(hanging []metrics.StalledShard, groups int) bool {
	listeners := make(map[string]bool)
	for _, h := range hanging {
		listeners[h.Listener] = true
	}
	alive := 0
	for _, g := range s.listeners {
		for _, counters := range g.Listener().Shards {
			if counters.Thread() != 0 {
				alive++
			}
		}
	}
	return len(hanging) > 0 && len(listeners) == groups && alive == len(hanging)
}
