package shard

import "sync"

// runState is what Run and Resume agree on: whether Run is about to return.
type runState struct {
	mu      sync.Mutex
	running bool          // Run has begun, and will not return at a Quiesce that is taken back
	resumed chan struct{} // Resume has canceled a Quiesce
}

func newRunState() runState { return runState{resumed: make(chan struct{}, 1)} }

func (r *runState) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running = true
}

// shardEnd is the end of a shard's thread.
type shardEnd struct {
	*shard
	err error
}

// reads returns whether the shards of a running group are to read. If it is true and a shard has
// ended, a Quiesce that Resume has canceled ended that shard.
func (g *Group) reads() bool {
	return !g.yielding.Load() && !g.stopping.Load() && !g.leaving.Load() && !g.replaced()
}

// endRun returns whether Run returns, now that no shard runs. It is false if Resume was called
// before.
func (g *Group) endRun() bool {
	g.run.mu.Lock()
	defer g.run.mu.Unlock()
	if g.reads() {
		return false
	}
	g.run.running = false
	g.yielded = g.yielding.CompareAndSwap(true, false)
	return true
}

// Resume cancels Quiesce: see engine.Handle. It is for a caller that has waited long enough for
// Run after Quiesce: a shard whose handler or output hangs does not stop before that call returns.
func (g handle) Resume() bool {
	g.run.mu.Lock()
	defer g.run.mu.Unlock()
	if !g.run.running {
		return false
	}
	g.yielding.Store(false)
	select {
	case g.run.resumed <- struct{}{}:
	default: // Run has not seen the one before yet
	}
	return true
}
