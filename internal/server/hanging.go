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
	// hangTimeout is how long a shard may go without a heartbeat before the process stops waiting
	// for the shard. A busy shard has a heartbeat with each batch, an idle shard every 250 ms, and a
	// shard that waits for its output every 10 ms. A shard whose thread is ready to run and gets no
	// CPU does not hang.
	hangTimeout = 5 * time.Second
	// hangCheckInterval is the time between two checks. A shard hangs if two checks find the same
	// state: after a long wait for its output, a shard has the next heartbeat at the end of the
	// batch.
	hangCheckInterval = 200 * time.Millisecond
)

// hangCheck finds shards that hang, in a handler or in a system call. One goroutine calls
// findHanging every hangCheckInterval.
type hangCheck struct {
	ledger   *metrics.Ledger
	suspects map[*metrics.Shard]silentShard // at the last check
}

// silentShard is a shard without a heartbeat for hangTimeout.
type silentShard struct {
	heartbeat int64
	thread    threadState
}

func (s *server) newHangCheck() *hangCheck { return &hangCheck{ledger: s.ledger} }

// findHanging returns the shards that hang, and whether the next check may find more.
func (h *hangCheck) findHanging(now time.Time) (hanging []metrics.StalledShard, more bool) {
	suspects := make(map[*metrics.Shard]silentShard)
	for _, s := range h.ledger.Stalled(now, hangTimeout) {
		if s.Shard.Thread() == 0 {
			continue // not started yet
		}
		is := silentShard{s.Shard.LastHeartbeat(), threadStateOf(s.Shard.Thread())}
		suspects[s.Shard] = is
		was, known := h.suspects[s.Shard]
		if known && was.heartbeat == is.heartbeat && !is.thread.starved(was.thread) {
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
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // from state on
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
	check := s.newHangCheck()
	for {
		hanging, more := check.findHanging(time.Now())
		switch {
		case len(hanging) > 0:
			return cli.WithHint(s.hangError(hanging), hangRemedy)
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

// hangRemedy is the hint for a refused successor. A process with a hanging shard ends at SIGTERM.
const hangRemedy = "stop the active process (kill -TERM PID) and start this process again; or " +
	"start this process with --standby: a standby takes over as soon as datagrams wait for the " +
	"hanging shard"

// awaitGroups waits until Run of every group has returned. At the end of late, awaitGroups aborts
// the outputs, so that no shard waits for an output. awaitGroups does not wait for hanging shards,
// and for no shard longer than hangTimeout after late. Then loop.hanging is true, since a shard may
// wake up, and the error names the hanging shards, or the number of listeners that still read.
func (s *server) awaitGroups(late context.Context) error {
	var errs []error
	check := s.newHangCheck()
	tick := time.NewTicker(hangCheckInterval)
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
			expired, last = nil, time.After(hangTimeout)
		case now := <-tick.C:
			if hanging, _ := check.findHanging(now); s.onlyHanging(hanging, reading) {
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
