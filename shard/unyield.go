package shard

import "sync"

// runState says whether Run is about to return, so that Unyield and Run agree on it.
type runState struct {
	mu      sync.Mutex
	running bool          // Run has begun, and will not return at a Yield that is taken back
	resumed chan struct{} // Unyield has taken a Yield back
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

// reads says whether the shards of a group that runs are to read: one that has ended was
// told to by a Yield that was taken back.
func (g *Group) reads() bool {
	return !g.yielding.Load() && !g.stopping.Load() && !g.leaving.Load() && !g.replaced()
}

// endRun says whether Run returns, now that no shard runs: not where Unyield was called
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

// Unyield takes Yield back. It returns true if Run goes on: shards that have left start
// again, and those that have not stay. It returns false if Run has returned, is about to,
// or has not begun: then Run may be called again once it has returned. Whoever waits for
// Run after Yield bounds the wait by it, since a shard whose handler or output hangs leaves
// when that returns.
func (g *Group) Unyield() bool {
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
