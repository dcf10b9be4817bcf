package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/net/bpf"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard/steer"
)

// steerer keeps a group's steering program as its controller wants it. Its
// methods may be called by any goroutine.
type steerer struct {
	group *Group
	seed  uint32
	put   func(fd int, program []bpf.RawInstruction) error // attachProgram

	mu         sync.Mutex
	mode       steer.Mode // asked for
	controller *steer.Controller
	attached   bool
	closed     bool // sockets are gone
	shared     bool // with sockets of other processes, which programs don't know
	looked     time.Time
	told       time.Time
	changes    map[string]uint64
	samples    []steer.Sample
}

// lookEvery is how often the port is searched for sockets of others. Who
// joins takes the program off, so it is only about putting it on again.
const lookEvery = 10 * time.Second

// tellEvery is how often the ledger hears of the heaviest senders.
const tellEvery = time.Second

func newSteerer(g *Group) *steerer {
	s := &steerer{group: g, seed: rand.Uint32(), put: attachProgram, changes: make(map[string]uint64)}
	for _, kind := range steer.Kinds {
		s.changes[string(kind)] = 0
	}
	return s
}

// set begins anew in a mode. Flows go to other shards where the mode differs
// from the one before; no socket is touched.
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
	limits := steer.Limits{StallAfter: asked.StallAfter, SprayAbove: asked.SprayAbove, OneOutput: s.group.config.OneOutput}
	if s.controller != nil && s.mode == asked.Mode {
		s.controller.SetLimits(limits)
		return nil
	}
	plan := s.plan()
	plan.Mode = asked.Mode
	err = s.attach(plan)
	if err != nil && plan.Mode == steer.Auto { // old kernels, and sandboxes: what nobody asked for by name must not keep them out
		plan.Mode = steer.Hash
		err = s.attach(plan)
	}
	if err != nil {
		return err
	}
	s.mode, s.controller = plan.Mode, steer.NewController(plan, limits)
	s.tell(time.Now())
	return nil
}

var errClosed = errors.New("the group is closed")

// close keeps it away from the group's sockets.
func (s *steerer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// plan is the one of a group that nothing was decided for.
func (s *steerer) plan() steer.Plan {
	c := &s.group.config
	plan := steer.Plan{Shards: c.Shards, Seed: s.seed}
	for i := range c.Shards {
		plan.CPUs = append(plan.CPUs, c.cpu(i))
	}
	return plan
}

// tick shows the controller how shards do, and puts into force what it
// changes.
func (s *steerer) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = s.samples[:0]
	for _, shard := range s.group.shards {
		s.samples = append(s.samples, shard.sample(now))
	}
	changes := s.controller.Step(now, s.samples)
	for _, shard := range s.group.shards {
		shard.tally.ask()
	}
	if len(changes) > 0 || now.Sub(s.looked) > lookEvery {
		s.look(now)
	}
	if len(changes) > 0 && !s.shared {
		if err := s.attach(s.controller.Plan()); err != nil {
			s.report(Event{Err: fmt.Errorf("steer: %w", err)})
		}
	}
	for _, c := range changes {
		s.changes[string(c.Kind)]++
	}
	if len(changes) > 0 || now.Sub(s.told) > tellEvery {
		s.tell(now)
	}
	for _, c := range changes { // whoever hears of it finds it in the ledger
		s.report(Event{Change: c})
	}
}

// look sees whether others share the port.
func (s *steerer) look(now time.Time) {
	s.looked = now
	if s.mode == steer.Hash || len(s.group.shards) == 1 {
		return
	}
	shared := s.group.shared()
	if shared == s.shared {
		return
	}
	plan := s.controller.Plan()
	if shared {
		plan.Mode = steer.Hash
	}
	s.shared = shared
	err := s.attach(plan)
	s.tell(now)
	s.report(Event{Shared: shared, Alone: !shared, Err: err})
}

// attach puts a plan into force.
func (s *steerer) attach(p steer.Plan) error {
	if p.Shards == 1 {
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
		return detachProgram(fd)
	}
	if err := s.put(fd, program); err != nil {
		return err
	}
	s.attached = true
	return nil
}

// errNoSteering: the kernel, or what it runs under, has no such programs.
var errNoSteering = errors.New("this kernel takes no steering programs (SO_ATTACH_REUSEPORT_CBPF, Linux 4.5): use hash")

// report hands an event to who asked for them.
func (s *steerer) report(e Event) {
	if s.group.config.Event != nil {
		s.group.config.Event(e)
	}
}

// topSenders is how many of them the ledger hears of.
const topSenders = 10

// tell writes into the ledger how things are.
func (s *steerer) tell(now time.Time) {
	s.told = now
	told := metrics.Steering{
		Mode:           string(s.mode),
		MovedBuckets:   s.controller.Moved(),
		SprayedSources: []string{},
		StalledShards:  append([]int{}, s.controller.Stalled()...),
		Changes:        make(map[string]uint64, len(s.changes)),
		TopSenders:     []metrics.Sender{},
		Skew:           s.controller.Skew(),
	}
	if s.mode == steer.Auto {
		told.Buckets = s.controller.Plan().Buckets()
	}
	if s.shared {
		told.Mode = string(steer.Hash)
	}
	for kind, n := range s.changes {
		told.Changes[kind] = n
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
