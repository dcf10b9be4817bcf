package shard

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/bpf"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
)

// attacher attaches the steering program of the balancer's plan to a group's sockets. Any goroutine
// may call its methods.
type attacher struct {
	group         *Group
	seed          uint32
	attachProgram func(fd int, program []bpf.RawInstruction) error // sys.AttachProgram
	removeProgram func(fd int) (attached bool, err error)          // sys.RemoveProgram

	mu          sync.Mutex
	deferred    *Steering       // to set once the group reads; nil: none
	mode        steer.Mode      // requested
	balancer    *steer.Balancer // of mode, or of steer.Hash while the port is shared
	attached    bool            // a program
	closed      bool            // the sockets are closed
	shared      bool            // with sockets of other processes, which no program knows
	portChecked time.Time
	program     []bpf.RawInstruction // attached last
	programTime time.Time            // when program was first attached
	published   time.Time
	changes     []atomic.Uint64 // by steer.Kinds
	samples     []steer.Sample
	refused     refusedTable
}

func newAttacher(g *Group) *attacher {
	seed := rand.Uint32()
	if g.options.Inherited != nil {
		seed = g.options.Inherited.Seed
	}
	a := &attacher{group: g, seed: seed, attachProgram: sys.AttachProgram, removeProgram: sys.RemoveProgram, changes: g.options.Changes}
	a.balancer = steer.NewBalancer(a.initialPlan(), steer.Limits{})
	return a
}

// initialPlan returns the plan of a group before setSteering.
func (a *attacher) initialPlan() steer.Plan {
	c := &a.group.config
	plan := steer.Plan{Mode: steer.Hash, Shards: c.Shards, Seed: a.seed}
	for i := range c.Shards {
		plan.CPUs = append(plan.CPUs, c.cpu(i))
	}
	return plan
}

var errClosed = errors.New("the group is closed")

// setSteering sets the mode and the limits.
func (a *attacher) setSteering(requested Steering) error {
	requested, err := requested.complete(a.group.config.Join)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errClosed
	}
	now := time.Now()
	first := a.mode == "" || a.deferred != nil
	a.deferred = nil
	if first || requested.Mode != a.mode {
		a.shared = a.portIsShared(requested.Mode, now, first)
		err := a.setMode(requested.Mode)
		if err != nil && requested.Mode == steer.Auto { // the default works on old kernels too
			requested.Mode = steer.Hash
			err = a.setMode(steer.Hash)
		}
		if err != nil {
			return err
		}
		a.mode = requested.Mode
	}
	a.balancer.SetLimits(steer.Limits{StallAfter: requested.StallAfter, SprayAbove: requested.SprayAbove, OneOutput: a.group.config.OneOutput})
	a.publish(now)
	return nil
}

// setMode puts a mode into force, or steer.Hash while the port is shared. After an error the
// previous mode stays.
func (a *attacher) setMode(mode steer.Mode) error {
	if a.shared {
		mode = steer.Hash
	}
	next := a.balancer.Plan()
	next.Mode, next.Moved, next.Sprayed = mode, nil, nil
	if err := a.attachPlan(next); err != nil {
		return err
	}
	a.balancer.SetMode(mode)
	return nil
}

// deferSteering keeps the steering of a group that takes over until the group reads. The
// predecessor's program stays in force until then.
func (a *attacher) deferSteering(requested Steering) error {
	complete, err := requested.complete(a.group.config.Join)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deferred, a.mode = &requested, complete.Mode
	a.attached = true // perhaps, by the predecessor
	a.publish(time.Now())
	return nil
}

// setDeferred sets the deferred steering. With surplus, datagrams must not go to the surplus
// sockets even in steer.Hash, until reattach.
func (a *attacher) setDeferred(surplus bool) error {
	if err := a.setSteering(*a.deferred); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	plan := a.balancer.Plan()
	if !surplus || plan.Mode != steer.Hash {
		return nil
	}
	plan.Mode = steer.Auto
	return a.attachPlan(plan)
}

// reattach puts the plan into force, whatever program another process or setDeferred has attached.
func (a *attacher) reattach() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deferred != nil {
		return nil
	}
	a.attached, a.program = true, nil // any program
	return a.attachPlan(a.balancer.Plan())
}

// attachPlan attaches the program of a plan, or detaches the program for steer.Hash. In a fenced
// group the program is the new owner's.
func (a *attacher) attachPlan(p steer.Plan) error {
	if a.group.fenced() {
		return engine.ErrFenced
	}
	if p.Shards == 1 && len(a.group.surplus) == 0 && !a.group.config.Join {
		return nil
	}
	program, err := p.Program()
	if err != nil {
		return err
	}
	fd := a.group.shards[0].fd
	if program == nil {
		if !a.attached && !a.group.config.Join {
			return nil
		}
		a.attached = false
		return sys.DetachProgram(fd)
	}
	if !slices.Equal(program, a.program) || !a.attached {
		a.program, a.programTime = program, time.Now()
	}
	if err := a.attachProgram(fd, program); err != nil {
		return err
	}
	a.attached = true
	return nil
}

// portIsShared reports whether other sockets share the port, as far as the mode depends on that.
// With cached, a socket that was opened in the last portsMaxAge may be missed.
func (a *attacher) portIsShared(mode steer.Mode, now time.Time, cached bool) bool {
	a.portChecked = now
	if mode == steer.Hash || len(a.group.shards) < 2 || cached && !a.group.isShared(now, portsMaxAge) {
		return false
	}
	return a.group.isShared(now, 0)
}

// close ends all changes of the group's sockets.
func (a *attacher) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}
