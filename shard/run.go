package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
)

// interruptInterval is the interval of interrupts of shards that are to return. An interrupt just
// before a shard's wait in the kernel does not end the wait, which may last for receiveTimeout.
const interruptInterval = 5 * time.Millisecond

// Run reads until ctx is done, and then until the kernel's queues are empty. Datagrams that come
// after the end of ctx are rejected, and counted as dropped by the kernel. Run flushes the sinks
// and closes the sockets, and returns nil, or the error of the first shard whose socket can't be
// read any more. Such an error stops the other shards too.
func (g *Group) Run(ctx context.Context) error {
	if g.quiesced {
		if err := g.restore(); err != nil {
			return err
		}
	}
	r := runLoop{
		Group: g,
		ended: make(chan shardEnd, len(g.shards)),
		idle:  slices.Clone(g.shards),
		retry: time.NewTicker(interruptInterval),
	}
	r.retry.Stop()
	defer r.retry.Stop()
	return r.run(ctx)
}

// runLoop is a call of Run.
type runLoop struct {
	*Group
	ended     chan shardEnd
	reading   int          // shards that read
	idle      []*shard     // shards that do not read, and may read again
	rejecting bool         // of new datagrams
	retry     *time.Ticker // of quiesce
	filters   filterGuard
	errs      []error
}

func (r *runLoop) run(ctx context.Context) error {
	r.runState.begin()
	r.start()
	tick := time.NewTicker(steer.Tick)
	defer tick.Stop()
	done, ticked := ctx.Done(), false
	for r.reading > 0 || !r.endRun() {
		select {
		case <-done:
			done = nil
			r.stop()
		case end := <-r.ended:
			r.endShard(end)
		case <-r.runState.resumed:
		case <-r.quiesceCalled:
			r.retry.Reset(interruptInterval)
			r.quiesce()
		case <-r.retry.C:
			r.quiesce()
		case now := <-tick.C:
			if !ticked { // a thread that waits since before Run has the timeout parkInterval
				ticked = true
				r.interrupt()
			}
			r.tick(&r.filters, now)
		}
		if r.shouldRead() {
			r.start()
		}
	}
	fenced := r.fenced()
	if !r.quiesced || r.stopping.Load() || fenced {
		r.Close()
	}
	if fenced {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", r.address, engine.ErrFenced))
	}
	return errors.Join(r.errs...)
}

// start makes the idle shards read.
func (r *runLoop) start() {
	for _, s := range r.idle {
		s.startReading(r.ended)
	}
	r.reading, r.idle = r.reading+len(r.idle), r.idle[:0]
}

func (r *runLoop) endShard(end shardEnd) {
	r.reading--
	if end.err == nil {
		r.idle = append(r.idle, end.shard)
		return
	}
	r.errs = append(r.errs, fmt.Errorf("shard %d of %s: %w", end.counters.Index, r.address, end.err))
	r.stop()
}

// quiesce stops waiting shards, and interrupts the others, until Resume.
func (r *runLoop) quiesce() {
	if !r.quiescing.Load() {
		r.retry.Stop()
		return
	}
	stopped := r.stopWaiting()
	r.reading, r.idle = r.reading-len(stopped), append(r.idle, stopped...)
}

// stop rejects new datagrams, and makes each shard return once its queue is empty.
func (r *runLoop) stop() {
	if r.rejecting {
		return
	}
	if r.shouldRead() { // idle shards have a queue too
		r.start()
	}
	r.rejecting = true
	if err := r.rejectNew(); err != nil {
		r.errs = append(r.errs, err)
	}
}

// rejectNew rejects new datagrams at each socket. A fenced group leaves the sockets unchanged: they
// are the new owner's, and the shards return without reading. If this process is stopped by a
// signal between the check and RejectNew, the new owner detaches the filter: see filterGuard.
func (g *Group) rejectNew() error {
	var errs []error
	for _, s := range g.shards {
		if g.fenced() {
			break
		}
		if err := sys.RejectNew(s.fd); err != nil {
			errs = append(errs, fmt.Errorf("shard %d of %s: attach the closing filter: %w", s.counters.Index, g.address, err))
		}
	}
	g.stopping.Store(true)
	g.interrupt()
	return errors.Join(errs...)
}

// tick checks the socket filters, and makes a step of the balancer, which reads the drops of each
// socket long before the kernel's counter of 32 bits wraps. A fenced group leaves the sockets
// unchanged.
func (g *Group) tick(filters *filterGuard, now time.Time) {
	if g.fenced() {
		return
	}
	filters.check(g, now)
	g.attacher.tick(now)
}

func (g *Group) emit(e engine.Event) {
	if g.options.Event != nil {
		g.options.Event(e)
	}
}
