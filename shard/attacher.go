package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// steerer keeps a group's steering program as its controller wants it. Its
// methods may be called by any goroutine.
type steerer struct {
	group *Group
	seed  uint32
	put   func(fd int, program []bpf.RawInstruction) error // sys.AttachProgram
	off   func(fd int) (there bool, err error)             // sys.RemoveProgram

	mu         sync.Mutex
	inherited  *Steering       // to be put into force when the group reads; nil: it is
	mode       steer.Mode      // asked for
	controller *steer.Balancer // of that mode, or of steer.Hash where the port is shared
	attached   bool            // a program, to the group
	closed     bool            // sockets are gone
	shared     bool            // with sockets of other processes, which programs don't know
	looked     time.Time
	program    []bpf.RawInstruction // attached last
	planned    time.Time            // when program was first attached
	told       time.Time
	changes    []atomic.Uint64 // of steer.Kinds
	samples    []steer.Sample
}

// lookEvery is how often the port is searched for sockets of others, and the
// program looked for. Who joins takes the program off, so it is only about
// putting it on again: within ten seconds of the other's leaving, with the time
// that a busy host may take for it.
const lookEvery = 8 * time.Second

// placementDelay is how long after a change of the program flows may still be seen where the
// program before sent them: two turns of a sketch, and what was queued before. Datagrams that
// wait for longer cost one more sys.RemoveProgram, see verify.
const placementDelay = time.Second

// tellEvery is how often the ledger hears of the heaviest senders.
const tellEvery = time.Second

func newSteerer(g *Group) *steerer {
	seed := rand.Uint32()
	if g.options.Inherited != nil {
		seed = g.options.Inherited.Seed
	}
	s := &steerer{group: g, seed: seed, put: sys.AttachProgram, off: sys.RemoveProgram, changes: g.options.Changes}
	s.controller = steer.NewBalancer(s.plan(), steer.Limits{})
	return s
}

// plan is the one of a group that nothing was decided for.
func (s *steerer) plan() steer.Plan {
	c := &s.group.config
	plan := steer.Plan{Mode: steer.Hash, Shards: c.Shards, Seed: s.seed}
	for i := range c.Shards {
		plan.CPUs = append(plan.CPUs, c.cpu(i))
	}
	return plan
}

// set takes another mode and other limits. Flows go to other shards where the
// mode differs from the one before; no socket is touched.
func (s *steerer) set(asked Steering) error {
	asked, err := asked.complete(s.group.config.Join)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	now := time.Now()
	first := s.mode == "" || s.inherited != nil
	s.inherited = nil
	if first || asked.Mode != s.mode {
		s.shared = s.looksShared(asked.Mode, now, first)
		err := s.begin(asked.Mode)
		if err != nil && asked.Mode == steer.Auto { // old kernels, and sandboxes: what nobody asked for by name must not keep them out
			asked.Mode = steer.Hash
			err = s.begin(steer.Hash)
		}
		if err != nil {
			return err
		}
		s.mode = asked.Mode
	}
	s.controller.SetLimits(steer.Limits{StallAfter: asked.StallAfter, SprayAbove: asked.SprayAbove, OneOutput: s.group.config.OneOutput})
	s.tell(now)
	return nil
}

// begin puts a mode into force, as far as the port is the group's own. On an
// error the one before stays.
func (s *steerer) begin(mode steer.Mode) error {
	if s.shared {
		mode = steer.Hash
	}
	next := s.controller.Plan()
	next.Mode, next.Moved, next.Sprayed = mode, nil, nil
	if err := s.attach(next); err != nil {
		return err
	}
	s.controller.SetMode(mode)
	return nil
}

// expect says what a group that takes over is to set once it reads: until then the program of
// the process before, whatever it is, stays in force.
func (s *steerer) expect(asked Steering) error {
	complete, err := asked.complete(s.group.config.Join)
	if err != nil {
		return err
	}
	s.inherited, s.mode, s.attached = &asked, complete.Mode, true // a program, as far as is known
	s.tell(time.Now())
	return nil
}

// inherit is set, for a group that takes over with another number of sockets. While there are
// surplus sockets, datagrams must keep away from them even in steer.Hash, until release.
func (s *steerer) inherit(surplus bool) error {
	if err := s.set(*s.inherited); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	plan := s.controller.Plan()
	if !surplus || plan.Mode != steer.Hash {
		return nil
	}
	plan.Mode = steer.Auto
	return s.attach(plan)
}

// release ends what inherit did for surplus sockets.
func (s *steerer) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attach(s.controller.Plan())
}

// resume puts the plan into force again, whatever another process has put there.
func (s *steerer) resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inherited != nil {
		return nil
	}
	s.attached, s.program = true, nil // as far as is known
	return s.attach(s.controller.Plan())
}

var errClosed = errors.New("the group is closed")

// close keeps it away from the group's sockets.
func (s *steerer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// tick shows the controller how shards do, puts into force what it changes,
// and tells of that.
func (s *steerer) tick(now time.Time) {
	if err := s.setInherited(); err != nil {
		s.group.tell(engine.Event{Err: fmt.Errorf("steer: %w", err)})
	}
	for _, e := range s.step(now) { // whoever hears of it finds it in the ledger, and may call the group
		s.group.tell(e)
	}
}

// tellInherited writes into the ledger what the process before has counted.
func (s *steerer) tellInherited() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tell(time.Now())
}

// setInherited puts into force what expect was told. An error leaves what is in force.
func (s *steerer) setInherited() error {
	s.mu.Lock()
	asked := s.inherited
	s.mu.Unlock()
	if asked == nil {
		return nil
	}
	return s.set(*asked)
}

// countFilter counts a socket filter that was detached.
func (s *steerer) countFilter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(steer.Unfiltering)
	s.tell(time.Now())
}

func (s *steerer) step(now time.Time) (events []engine.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = s.samples[:0]
	for _, shard := range s.group.shards {
		s.samples = append(s.samples, shard.sample(now))
	}
	changes := s.controller.Step(now, s.samples)
	if time.Since(s.planned) < placementDelay {
		s.controller.ResetPlacement()
	}
	for _, shard := range s.group.shards {
		shard.sketches.RequestSwap()
	}
	if len(changes) > 0 {
		if err := s.attach(s.controller.Plan()); err != nil {
			events = append(events, engine.Event{Err: fmt.Errorf("steer: %w", err)})
			s.controller.SetMode(s.controller.Plan().Mode) // what it believed is not so: it begins anew
			changes = nil
		}
	}
	for _, c := range changes {
		s.count(c.Kind)
		events = append(events, engine.Event{Change: c})
	}
	if len(changes) > 0 || now.Sub(s.looked) > lookEvery {
		events = append(events, s.look(now)...)
	}
	if len(events) > 0 || now.Sub(s.told) > tellEvery {
		s.tell(now)
	}
	return events
}

// look sees whether others share the port, and goes back to the kernel's hash
// while they do. Where they don't, it sees to it that the program is attached.
func (s *steerer) look(now time.Time) []engine.Event {
	shared := s.looksShared(s.mode, now, !s.shared)
	if shared == s.shared {
		return s.verify()
	}
	s.shared = shared
	err := s.begin(s.mode)
	if err == nil && !shared {
		s.count(steer.Reattaching)
	}
	return []engine.Event{{Shared: shared, Alone: !shared, Err: err}}
}

// verify attaches the program again, whether or not it is attached still: another process may have
// joined the group and left since the last look. Where the program was gone it says so.
//
// The kernel has no call that reads a group's program: SO_GET_FILTER reads a socket's own filter
// (Linux 6.18). Detaching fails with ENOENT where there is none (reuseport_detach_prog, Linux
// 5.3), but until the program is attached again, some 50 us later, the kernel's hash chooses, and
// a flow's order can break. So the program is detached only where that breaks nothing, since no
// flow came that has one shard, or where a flow came to another shard than the program sends it to.
func (s *steerer) verify() []engine.Event {
	g := s.group
	plan := s.controller.Plan()
	seen := s.controller.Placement()
	s.controller.ResetPlacement()
	if plan.Mode == steer.Hash || plan.Shards == 1 || g.leaving.Load() || g.stopping.Load() || g.yielding.Load() {
		return nil
	}
	there := true
	if seen.Placed == 0 || seen.Misplaced > 0 {
		var err error
		there, err = s.off(g.shards[0].fd)
		if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 5.3: not known
			there, err = true, nil
		}
		if err != nil {
			return []engine.Event{{Err: fmt.Errorf("steer: %w", err)}}
		}
	}
	if err := s.attach(plan); err != nil {
		s.attached = false
		return []engine.Event{{Err: fmt.Errorf("steer: %w", err)}}
	}
	if there {
		return nil
	}
	s.count(steer.Reattaching)
	return []engine.Event{{Change: steer.Change{Kind: steer.Reattaching, Reason: "the program was detached by another process"}}}
}

// count counts a change.
func (s *steerer) count(kind steer.Kind) {
	if i := slices.Index(steer.Kinds, kind); i >= 0 {
		s.changes[i].Add(1)
	}
}

// looksShared says whether others share the port. If it may be late, it may not know of whom
// came in the last portsAge.
func (s *steerer) looksShared(mode steer.Mode, now time.Time, late bool) bool {
	s.looked = now
	if mode == steer.Hash || len(s.group.shards) < 2 || late && !s.group.shared(now, portsAge) {
		return false
	}
	return s.group.shared(now, 0)
}

// attach puts a plan into force. A group that was replaced leaves the program alone: that is the
// new owner's.
func (s *steerer) attach(p steer.Plan) error {
	if s.group.replaced() {
		return engine.ErrFenced
	}
	if p.Shards == 1 && len(s.group.surplus) == 0 && !s.group.config.Join {
		return nil
	}
	program, err := p.Program()
	if err != nil {
		return err
	}
	fd := s.group.shards[0].fd
	if program == nil {
		if !s.attached && !s.group.config.Join {
			return nil
		}
		s.attached = false
		return sys.DetachProgram(fd)
	}
	if !slices.Equal(program, s.program) || !s.attached {
		s.program, s.planned = program, time.Now()
	}
	if err := s.put(fd, program); err != nil {
		return err
	}
	s.attached = true
	return nil
}

// inForce returns the mode by which the kernel spreads datagrams, as far as is known.
func (s *steerer) inForce(plan steer.Plan) steer.Mode {
	if plan.Shards > 1 && !s.attached {
		return steer.Hash
	}
	return plan.Mode
}

// topSenders is how many of them the ledger hears of.
const topSenders = 10

// tell writes into the ledger how things are.
func (s *steerer) tell(now time.Time) {
	s.told = now
	plan := s.controller.Plan()
	inForce := s.inForce(plan)
	if s.inherited != nil {
		inForce = "" // the program is the other process's
	}
	told := metrics.Steering{
		Mode:           string(s.mode),
		InForce:        string(inForce),
		MovedBuckets:   len(plan.Moved),
		SprayedSources: []string{},
		StalledShards:  append([]int{}, s.controller.Stalled()...),
		AvoidedShards:  append([]int{}, plan.Avoid...),
		Changes:        make(map[string]uint64, len(s.changes)),
		TopSenders:     []metrics.Sender{},
		Skew:           s.controller.Skew(),
	}
	if plan.Mode == steer.Auto {
		told.Buckets = plan.Buckets()
	}
	for i, kind := range steer.Kinds {
		told.Changes[string(kind)] = s.changes[i].Load()
	}
	for _, source := range s.controller.Sprayed() {
		told.SprayedSources = append(told.SprayedSources, source.String())
	}
	for _, t := range s.controller.Top(topSenders) {
		told.TopSenders = append(told.TopSenders, metrics.Sender{
			Source: t.Source.String(), PerSecond: uint64(t.PerSecond + 0.5), Percent: uint64(100*t.Part + 0.5), Sprayed: t.Sprayed})
	}
	s.group.listener.SetSteering(told)
}
