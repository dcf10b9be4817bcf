package shard

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

const (
	// portInterval is the interval of checks of the port and the program. A process that joins the
	// port detaches the program; the check attaches the program again, within ten seconds of the
	// end of the other process on a busy host too.
	portInterval = 8 * time.Second
	// placementDelay is the time after a change of the program in which flows may still be seen at
	// the shard of the previous program: two swaps of a sketch, and the queue before. A datagram
	// that waits longer costs an additional RemoveProgram: see verifyProgram.
	placementDelay = time.Second
	// publishInterval is the interval of updates of the heaviest senders, and of the refused
	// senders, in the ledger.
	publishInterval = time.Second
	// topSenders is the number of heaviest senders in the ledger.
	topSenders = 10
)

// tick sets a deferred steering, and makes a step of the balancer. Events are emitted after the
// ledger is updated, and without a lock: the receiver of an event may call the group.
func (a *attacher) tick(now time.Time) {
	a.mu.Lock()
	deferred := a.deferred
	a.mu.Unlock()
	if deferred != nil {
		if err := a.setSteering(*deferred); err != nil {
			a.group.emit(engine.Event{Err: fmt.Errorf("steer: %w", err)})
		}
	}
	for _, e := range a.balance(now) {
		a.group.emit(e)
	}
}

// balance makes a step of the balancer, and attaches the new plan.
func (a *attacher) balance(now time.Time) (events []engine.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.samples = a.samples[:0]
	a.refused.decay(now)
	for _, s := range a.group.shards {
		a.samples = append(a.samples, s.sample(now, &a.refused))
	}
	changes := a.balancer.Step(now, a.samples)
	if time.Since(a.programTime) < placementDelay {
		a.balancer.ResetPlacement()
	}
	for _, s := range a.group.shards {
		s.sketches.RequestSwap()
	}
	if len(changes) > 0 {
		if err := a.attachPlan(a.balancer.Plan()); err != nil {
			events = append(events, engine.Event{Err: fmt.Errorf("steer: %w", err)})
			a.balancer.SetMode(a.balancer.Plan().Mode) // the plan is not in force: begin a new plan
			changes = nil
		}
	}
	for _, c := range changes {
		a.count(c.Kind)
		events = append(events, engine.Event{Change: c})
	}
	if len(changes) > 0 || now.Sub(a.portChecked) > portInterval {
		events = append(events, a.checkPort(now)...)
	}
	if len(events) > 0 || now.Sub(a.published) > publishInterval {
		a.publish(now)
	}
	return events
}

// checkPort uses the kernel's hash while other sockets share the port, and verifies the program
// otherwise.
func (a *attacher) checkPort(now time.Time) []engine.Event {
	shared := a.portIsShared(a.mode, now, !a.shared)
	if shared == a.shared {
		return a.verifyProgram()
	}
	a.shared = shared
	err := a.setMode(a.mode)
	if err == nil && !shared {
		a.count(steer.Reattaching)
	}
	return []engine.Event{{Shared: shared, Alone: !shared, Err: err}}
}

// verifyProgram attaches the program again: another process may have joined the group and left
// since the last check. If the program was detached, there is an event.
//
// The kernel has no call that reads the program of a group: SO_GET_FILTER reads the filter of a
// socket (Linux 6.18). Detaching fails with ENOENT without a program (reuseport_detach_prog, Linux
// 5.3), but until the program is attached again, some 50 µs later, the kernel's hash chooses, and
// the order of a flow can break. So the program is detached only if no flow with one shard was
// seen, or a flow was seen at another shard than the program's.
func (a *attacher) verifyProgram() []engine.Event {
	g := a.group
	plan := a.balancer.Plan()
	seen := a.balancer.Placement()
	a.balancer.ResetPlacement()
	if plan.Mode == steer.Hash || plan.Shards == 1 || g.draining.Load() || g.stopping.Load() || g.quiescing.Load() {
		return nil
	}
	attached := true
	if seen.Placed == 0 || seen.Misplaced > 0 {
		var err error
		attached, err = a.removeProgram(g.shards[0].fd)
		if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 5.3: not known
			attached, err = true, nil
		}
		if err != nil {
			return []engine.Event{{Err: fmt.Errorf("steer: %w", err)}}
		}
	}
	if err := a.attachPlan(plan); err != nil {
		a.attached = false
		return []engine.Event{{Err: fmt.Errorf("steer: %w", err)}}
	}
	if attached {
		return nil
	}
	a.count(steer.Reattaching)
	return []engine.Event{{Change: steer.Change{Kind: steer.Reattaching, Reason: "another process had detached the program"}}}
}

func (a *attacher) count(kind steer.Kind) {
	if i := slices.Index(steer.Kinds, kind); i >= 0 {
		a.changes[i].Add(1)
	}
}

// countFilter counts a detached socket filter.
func (a *attacher) countFilter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count(steer.Unfiltering)
	a.publish(time.Now())
}

// publishNow writes the predecessor's counts of changes into the ledger.
func (a *attacher) publishNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.publish(time.Now())
}

// publish writes the state of the steering, and the refused senders, into the ledger.
func (a *attacher) publish(now time.Time) {
	a.published = now
	plan := a.balancer.Plan()
	state := metrics.Steering{
		Mode:           string(a.mode),
		InForce:        string(a.inForce(plan)),
		MovedBuckets:   len(plan.Moved),
		SprayedSources: []string{},
		StalledShards:  append([]int{}, a.balancer.Stalled()...),
		AvoidedShards:  append([]int{}, plan.Avoid...),
		Changes:        make(map[string]uint64, len(a.changes)),
		TopSenders:     []metrics.Sender{},
		Skew:           a.balancer.Skew(),
	}
	if plan.Mode == steer.Auto {
		state.Buckets = plan.Buckets()
	}
	for i, kind := range steer.Kinds {
		state.Changes[string(kind)] = a.changes[i].Load()
	}
	for _, source := range a.balancer.Sprayed() {
		state.SprayedSources = append(state.SprayedSources, source.String())
	}
	for _, s := range a.balancer.Top(topSenders) {
		state.TopSenders = append(state.TopSenders, metrics.Sender{
			Source: s.Source.String(), PerSecond: uint64(s.PerSecond + 0.5), Percent: uint64(100*s.Part + 0.5), Sprayed: s.Sprayed})
	}
	a.group.listener.SetSteering(state)
	a.group.listener.SetRefusedSenders(a.refused.top())
}

// inForce returns the mode by which the kernel chooses shards; "" if the predecessor's program may
// be attached.
func (a *attacher) inForce(plan steer.Plan) steer.Mode {
	switch {
	case a.deferred != nil:
		return ""
	case plan.Shards > 1 && !a.attached:
		return steer.Hash
	}
	return plan.Mode
}
