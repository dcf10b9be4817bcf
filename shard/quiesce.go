package shard

import (
	"context"
	"sync"
	"time"
)

// runState is the decision whether Run returns, which Run and Resume share.
type runState struct {
	mu      sync.Mutex
	running bool          // Run has begun, and does not return at a Quiesce that Resume cancels
	resumed chan struct{} // Resume has canceled a Quiesce
}

func newRunState() runState { return runState{resumed: make(chan struct{}, 1)} }

func (r *runState) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
}

// shouldRead reports whether the shards of a running group are to read. If so, a shard that has
// ended without an error has ended for a Quiesce that Resume has canceled.
func (g *Group) shouldRead() bool {
	return !g.quiescing.Load() && !g.stopping.Load() && !g.draining.Load() && !g.fenced()
}

// endRun reports whether Run returns, now that no shard reads: not if Resume was called before.
func (g *Group) endRun() bool {
	g.runState.mu.Lock()
	defer g.runState.mu.Unlock()
	if g.shouldRead() {
		return false
	}
	g.runState.running = false
	g.quiesced = g.quiescing.CompareAndSwap(true, false)
	return true
}

// Quiesce makes Run return: see engine.Handle.
func (g handle) Quiesce() {
	g.quiescing.Store(true)
	select {
	case g.quiesceCalled <- struct{}{}:
	default:
	}
}

// Resume cancels Quiesce: see engine.Handle.
func (g handle) Resume() bool {
	g.runState.mu.Lock()
	defer g.runState.mu.Unlock()
	if !g.runState.running {
		return false
	}
	g.quiescing.Store(false)
	select {
	case g.runState.resumed <- struct{}{}:
	default: // Run has not received the previous value yet
	}
	return true
}

// Drain makes Run return: see engine.Handle.
func (g handle) Drain() {
	g.draining.Store(true)
	g.interrupt()
}

// ReadingSince returns when the last shard began to read: see engine.Handle.
func (g handle) ReadingSince(ctx context.Context) (time.Time, error) {
	select {
	case <-g.reading:
		return g.readingSince, nil
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}

// countReader counts a shard whose thread begins to read.
func (g *Group) countReader() {
	if int(g.readers.Add(1)) == len(g.shards) {
		g.readingSince = time.Now()
		close(g.reading)
	}
}

// stopWaiting stops the shards that wait for datagrams, and returns them. It interrupts the others.
func (g *Group) stopWaiting() (stopped []*shard) {
	for _, s := range g.shards {
		if s.stopIfWaiting() {
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

// fenced reports whether another process owns the sockets and the counters.
func (g *Group) fenced() bool { return g.shards[0].counters.Fenced() }
