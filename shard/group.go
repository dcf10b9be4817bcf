package shard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

// Group is the shards of one address. Its methods may be called by any
// goroutine.
type Group struct {
	config   Config
	options  engine.Options
	address  address
	bound    netip.Addr // zero where the address is a wildcard
	granted  int
	shards   []*shard
	listener *metrics.Listener
	gate     atomic.Pointer[gate]
	steerer  *steerer
	stopping atomic.Bool
	leaving  atomic.Bool
	yielding atomic.Bool
	yielded  bool     // Run has returned since then
	run      runState // whether Run will return
	surplus  []int    // sockets that were inherited, and have no shard
	closing  sync.Once
	began    time.Time
	asked    chan struct{} // shards are to return soon

	readers   atomic.Int32  // shards that have begun to read
	reading   chan struct{} // closed when all have
	readSince time.Time     // when the last of them did; set before reading is closed
}

// Listen opens a group's sockets, lays out its shards and starts their threads.
// The kernel queues datagrams from then on; Run begins to read them. It fails with a
// *ConfigError, an *InUseError, or what the kernel says to an option, naming
// it and what was asked. From Listen to Close GOMAXPROCS is larger by the number of
// shards: their threads keep a P each while they wait in the kernel.
func Listen(c Config) (*Group, error) { return listen(c, engine.Options{}) }

// ListenManaged is Listen for the server of this module. Other modules can't import package
// engine, and use Listen.
func ListenManaged(c Config, o engine.Options) (*Group, engine.Handle, error) {
	g, err := listen(c, o)
	if err != nil {
		return nil, nil, err
	}
	return g, handle{g}, nil
}

func listen(c Config, o engine.Options) (*Group, error) {
	c, err := c.Complete()
	if err != nil {
		return nil, err
	}
	at, err := resolve(c.Address)
	if err != nil {
		return nil, err
	}
	var fds, surplus []int
	if o.Inherited == nil {
		fds, at, err = openSockets(c, at)
	} else {
		fds, surplus, at, err = inherit(c, o.Inherited.Sockets, at)
	}
	if err != nil {
		return nil, err
	}
	g, err := newGroup(c, o, at, fds, surplus)
	if err == nil && o.Inherited == nil {
		err = g.steerer.set(c.Steering)
	} else if err == nil {
		err = g.steerer.expect(c.Steering)
	}
	if err != nil {
		closeAll(fds)
		closeAll(surplus)
		return nil, err
	}
	g.start()
	return g, nil
}

// newGroup lays out a group with sockets at an address. They are the caller's where it fails.
func newGroup(c Config, o engine.Options, at address, fds, surplus []int) (*Group, error) {
	if o.Counters == nil {
		o.Counters = func(shard, cpu int) (*metrics.Shard, error) { return metrics.NewShard(shard, cpu), nil }
	}
	if o.Changes == nil {
		o.Changes = make([]atomic.Uint64, len(steer.Kinds))
	}
	if len(o.Changes) != len(steer.Kinds) {
		return nil, fmt.Errorf("%d counters for %d kinds of change", len(o.Changes), len(steer.Kinds))
	}
	gate, err := newGate(c.Policy, nil)
	if err != nil {
		return nil, err
	}
	g := &Group{
		config:   c,
		options:  o,
		address:  at,
		began:    time.Now(),
		surplus:  surplus,
		listener: &metrics.Listener{Address: at.String()},
		asked:    make(chan struct{}, 1),
		reading:  make(chan struct{}),
		run:      newRunState(),
	}
	g.steerer = newSteerer(g)
	if !at.Addr().IsUnspecified() {
		g.bound = at.Addr()
	}
	g.gate.Store(gate)
	return g, g.layOut(fds)
}

// start starts the shards' threads, which wait for Run.
func (g *Group) start() {
	countOwn(g.address.AddrPort, 1)
	reserve(len(g.shards))
	for _, s := range g.shards {
		go s.thread()
	}
}

// layOut makes the shards of the sockets. Those that have none yet get theirs
// from TakeOver.
func (g *Group) layOut(fds []int) (err error) {
	if g.granted, err = grantedBuffer(fds[0]); err != nil {
		return err
	}
	for i := range g.config.Shards {
		fd := -1
		if i < len(fds) {
			fd = fds[i]
		}
		s, err := newShard(g, i, fd)
		if err != nil {
			return err
		}
		g.shards = append(g.shards, s)
		g.listener.Shards = append(g.listener.Shards, s.page)
	}
	return nil
}

// Run reads until ctx is done, and then until the kernel's queues are empty:
// datagrams that come after ctx is done are turned away and counted as
// dropped by the kernel. It returns nil, or the error of the first shard
// whose socket can't be read any more, which stops the others too. The
// sockets are closed when it returns, and records are flushed to their sinks.
func (g *Group) Run(ctx context.Context) error {
	if g.yielded {
		if err := g.resume(); err != nil {
			return err
		}
	}
	ended := make(chan shardEnd, len(g.shards))
	g.run.begin()
	left, running := slices.Clone(g.shards), 0 // those that do not run
	start := func() {
		for _, s := range left {
			s.startReading(ended)
		}
		running, left = running+len(left), left[:0]
	}
	start()
	woken := false
	var filters filterWatch
	tick := time.NewTicker(steer.Tick)
	defer tick.Stop()
	again := time.NewTicker(interruptEvery)
	again.Stop()
	defer again.Stop()
	yield := func() {
		if !g.yielding.Load() { // it was taken back
			again.Stop()
			return
		}
		idle := g.stopWaiting()
		running, left = running-len(idle), append(left, idle...)
	}
	done, stopped := ctx.Done(), false
	stop := func() error {
		if stopped {
			return nil
		}
		if g.reads() { // those that left at a Yield that was taken back have a queue too
			start()
		}
		stopped = true
		return g.stop()
	}
	var errs []error
	for running > 0 || !g.endRun() {
		select {
		case <-done:
			done = nil
			errs = append(errs, stop())
		case end := <-ended:
			running--
			if end.err == nil {
				left = append(left, end.shard)
				break
			}
			errs = append(errs, fmt.Errorf("shard %d of %s: %w", end.page.Index, g.address, end.err), stop())
		case <-g.run.resumed:
		case <-g.asked:
			again.Reset(interruptEvery)
			yield()
		case <-again.C:
			yield()
		case now := <-tick.C:
			if !woken { // those that have waited since before Run beat more often from now on
				woken = true
				g.interrupt()
			}
			g.tick(&filters, now)
		}
		if g.reads() {
			start()
		}
	}
	replaced := g.replaced()
	if !g.yielded || g.stopping.Load() || replaced {
		g.Close()
	}
	if replaced {
		errs = append(errs, fmt.Errorf("%s: %w", g.address, engine.ErrFenced))
	}
	return errors.Join(errs...)
}

// tick looks after the sockets' filters and the group's steering, and asks every socket for its
// drops, long before the counter of 32 bits wraps. What the sockets of a group that was replaced
// have is the other process's.
func (g *Group) tick(filters *filterWatch, now time.Time) {
	if g.replaced() {
		return
	}
	filters.step(g, now)
	g.steerer.tick(now)
}

func (g *Group) replaced() bool { return g.shards[0].page.Fenced() }

// Drain makes Run return: see engine.Handle.
func (g handle) Drain() {
	g.leaving.Store(true)
	g.interrupt()
}

// Quiesce makes Run return: see engine.Handle.
func (g handle) Quiesce() {
	g.yielding.Store(true)
	select {
	case g.asked <- struct{}{}:
	default:
	}
}

// interruptEvery is how often shards that are to return are interrupted. An interrupt that comes
// just before a shard waits in the kernel does not end that wait, which takes up to a turn.
const interruptEvery = 5 * time.Millisecond

// stopWaiting stops the shards that wait for datagrams, interrupts the others, and returns those
// that it has stopped.
func (g *Group) stopWaiting() (stopped []*shard) {
	for _, s := range g.shards {
		if s.stopWaiting() {
			stopped = append(stopped, s)
		} else {
			s.interrupt()
		}
	}
	return stopped
}

// interrupt ends the waits of all shards.
func (g *Group) interrupt() {
	for _, s := range g.shards {
		s.interrupt()
	}
}

// ReadingSince returns when the last shard began to read: see engine.Handle.
func (g handle) ReadingSince(ctx context.Context) (time.Time, error) {
	select {
	case <-g.reading:
		return g.readSince, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// countReader is called by each shard's thread when it begins to read.
func (g *Group) countReader() {
	if int(g.readers.Add(1)) == len(g.shards) {
		g.readSince = time.Now()
		close(g.reading)
	}
}

// tell tells an event to whoever wants to know.
func (g *Group) tell(e engine.Event) {
	if g.options.Event != nil {
		g.options.Event(e)
	}
}

// stop makes every shard leave once its queue is empty. The sockets of a group that was replaced
// are left alone: they are the new owner's, and its shards leave without reading. Should this
// process be stopped by a signal between asking and attaching, the new owner detaches the
// filter: see filterWatch.
func (g *Group) stop() error {
	var errs []error
	for _, s := range g.shards {
		if g.replaced() {
			break
		}
		if err := s.seal(); err != nil {
			errs = append(errs, fmt.Errorf("shard %d of %s: attach the closing filter: %w", s.page.Index, g.address, err))
		}
	}
	g.stopping.Store(true)
	g.interrupt()
	return errors.Join(errs...)
}

// SetSteering replaces the way in which datagrams are spread. No socket is
// closed and no datagram lost, but with another mode flows go to other shards.
// The error is a *ConfigError, or the kernel's; the way before stays.
func (g *Group) SetSteering(s Steering) error { return g.steerer.set(s) }

// Close closes the sockets of a group that was never run; Run does it itself.
// The ledger asks each socket a last time.
func (g *Group) Close() { g.closing.Do(g.close) }

func (g *Group) close() {
	g.steerer.close()
	for _, s := range g.shards {
		s.end()
	}
	deadline := time.Now().Add(parkTurn)
	for _, s := range g.shards {
		s.awaitEnd(deadline)
		s.page.Detach()
		s.waits.Close()
		unix.Close(s.fd)
	}
	release(len(g.shards))
	closeAll(g.surplus)
	countOwn(g.address.AddrPort, -1)
}

// Addr returns the address that the sockets are bound to, with the port that
// was taken. A dual-stack group's is [::].
func (g *Group) Addr() netip.AddrPort { return g.address.AddrPort }

// Listener returns the group's part of the ledger. Its name and protocol are
// the caller's to set.
func (g *Group) Listener() *metrics.Listener { return g.listener }

// ReceiveBuffer returns the bytes of SO_RCVBUF that were asked and granted
// per socket. Without CAP_NET_ADMIN the kernel grants at most
// net.core.rmem_max (socket(7)).
func (g *Group) ReceiveBuffer() (asked, granted int) {
	return min(g.config.ReceiveBuffer, maxReceiveBuffer-1), g.granted
}

// SetPolicy replaces the policy from the next batch on. The error is a
// *ConfigError, and the policy before stays.
func (g *Group) SetPolicy(p Policy) error {
	gate, err := newGate(p, g.gate.Load())
	if err != nil {
		return err
	}
	g.gate.Store(gate)
	return nil
}
