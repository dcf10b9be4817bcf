package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

const (
	// hangTimeout is how long a shard may show no sign of life before the process stops
	// waiting for it. A busy shard shows a sign of life with each batch, an idle shard every
	// 250 ms, and a shard that waits for its output every 10 ms. A shard whose thread is ready
	// to run and gets no CPU does not count as hanging.
	hangTimeout = 5 * time.Second
	// hangCheckInterval is the time between two checks. A shard hangs if both find the same
	// state: a shard that has just ended a long wait for its output shows its next sign of
	// life at the end of its batch.
	hangCheckInterval = 200 * time.Millisecond
)

// hangCheck finds shards that hang, in a handler or in a system call. It is for one
// goroutine, which calls check every hangCheckInterval.
type hangCheck struct {
	ledger   *metrics.Ledger
	suspects map[*metrics.Shard]silentShard // at the last check
}

// silentShard is a shard that shows no sign of life.
type silentShard struct {
	pulse  int64
	thread threadState
}

func (s *server) newHangCheck() *hangCheck { return &hangCheck{ledger: s.ledger} }

// findHanging returns the shards that hang, and whether the next check may find more.
func (h *hangCheck) findHanging(now time.Time) (hanging []metrics.StalledShard, more bool) {
	suspects := make(map[*metrics.Shard]silentShard)
	for _, s := range h.ledger.Stalled(now, hangTimeout) {
		if s.Shard.Thread() == 0 {
			continue // it has not started yet
		}
		is := silentShard{s.Shard.LastHeartbeat(), threadStateOf(s.Shard.Thread())}
		suspects[s.Shard] = is
		was, known := h.suspects[s.Shard]
		if known && was.pulse == is.pulse && !is.thread.starved(was.thread) {
			hanging = append(hanging, s)
		}
	}
	h.suspects = suspects
	return hanging, len(suspects) > 0
}

// threadState is the kernel's state of a thread of this process (proc_pid_stat(5)).
type threadState struct {
	state      byte   // R: running, or ready to run
	user, kern uint64 // CPU time, in ticks of 10 ms
}

// threadStateOf returns the zero threadState if /proc does not have the thread.
func threadStateOf(thread int) (t threadState) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", thread))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from the third on
	if err != nil || len(fields) < 13 {
		return threadState{}
	}
	t.state = fields[0][0]
	t.user, _ = strconv.ParseUint(fields[11], 10, 64)
	t.kern, _ = strconv.ParseUint(fields[12], 10, 64)
	return t
}

// starved returns whether a thread is ready to run, and has got no CPU since before.
func (t threadState) starved(before threadState) bool { return t.state == 'R' && t == before }

// hangError names the shards that hang.
func hangError(hanging []metrics.StalledShard) error {
	var errs []error
	for _, h := range hanging {
		errs = append(errs, fmt.Errorf("listener %s shard %d hangs: no sign of life for %s",
			h.Listener, h.Shard.Index, h.For.Round(100*time.Millisecond)))
	}
	return cli.Join(errs...)
}

// logHanging logs the shards that hang, with the records and bytes that each keeps waiting.
func (s *server) logHanging(hanging []metrics.StalledShard) {
	for _, h := range hanging {
		r := h.Shard.Read()
		s.log.Error().Str("listener", h.Listener).Int("shard", h.Shard.Index).
			Stringer("silent_for", h.For.Round(time.Millisecond)).
			Uint64("in_flight", r.InFlight).Uint64("queue_bytes", r.QueueBytes).Msg("shard hanging")
	}
}

// refuseHanging returns an error if a shard hangs. A handover would wait for that shard while no
// shard reads. Any goroutine may call refuseHanging.
func (s *server) refuseHanging(ctx context.Context) error {
	check := s.newHangCheck()
	for {
		hanging, more := check.findHanging(time.Now())
		switch {
		case len(hanging) > 0:
			s.logHanging(hanging)
			return cli.WithHint(hangError(hanging), hangRemedy)
		case !more:
			return nil
		}
		select {
		case <-time.After(hangCheckInterval):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// hangRemedy is for the successor that is refused. SIGTERM ends a process that does not wait for
// a shard that hangs.
const hangRemedy = "stop the active process (kill -TERM PID) and start this process again; or " +
	"start this process with --standby: it takes over as soon as datagrams wait for that shard"

// awaitGroups waits until every group has returned from Run. When late is done, it drops what
// outputs have not accepted, so that no shard waits for them. It does not wait for shards that
// hang, and not for longer than hangTimeout after late. In these cases it sets s.hangs, since a
// shard may still wake up, and the error names the shards or the number of listeners.
func (s *server) awaitGroups(late context.Context, ended <-chan error) error {
	var errs []error
	check := s.newHangCheck()
	tick := time.NewTicker(hangCheckInterval)
	defer tick.Stop()
	expired := late.Done()
	var last <-chan time.Time
	for len(errs) < len(s.listeners) {
		select {
		case err := <-ended:
			errs = append(errs, err)
		case <-expired:
			s.outputs.Abort()
			expired, last = nil, time.After(hangTimeout)
		case now := <-tick.C:
			if hanging, _ := check.findHanging(now); s.onlyHanging(hanging, len(s.listeners)-len(errs)) {
				s.loop.hanging = true
				s.logHanging(hanging)
				return errors.Join(append(errs, hangError(hanging))...)
			}
		case <-last:
			s.loop.hanging = true
			reading := fmt.Errorf("%d of %d listeners still read", len(s.listeners)-len(errs), len(s.listeners))
			return errors.Join(append(errs, reading)...)
		}
	}
	return errors.Join(errs...)
}

// onlyHanging returns whether so many groups wait for shards that hang, and for no other shard.
func (s *server) onlyHanging(hanging []metrics.StalledShard, groups int) bool {
	held := make(map[string]bool)
	for _, h := range hanging {
		held[h.Listener] = true
	}
	alive := 0
	for _, g := range s.listeners {
		for _, page := range g.Listener().Shards {
			if page.Thread() != 0 {
				alive++
			}
		}
	}
	return len(hanging) > 0 && len(held) == groups && alive == len(hanging)
}
