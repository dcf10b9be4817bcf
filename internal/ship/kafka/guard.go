package kafka

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// guard prevents that a process sends after it was stopped (SIGSTOP, a suspended machine): another
// process may have taken over meanwhile, and have sent the batch. The client writes from goroutines
// of its own, and continues at once when the process wakes up. So Send touches the guard at short
// intervals. A write or a touch that comes later than maxStop closes the guard until the client is
// closed.
type guard struct {
	touched atomic.Int64 // nanoseconds since epoch, or one of the values below
	closed  atomic.Bool
}

// maxStop is the longest time between two touches. A successor waits for longer before it seizes
// the spool of a process that is stopped (spool.AcquirePatience, 2 s).
const (
	maxStop       = time.Second
	touchInterval = maxStop / 10
)

var (
	epoch      = time.Now() // its monotonic part goes on while the process is stopped
	errStopped = errors.New("the process was stopped: another process may have sent the batch")
	errGuarded = errors.New("nothing is sent now")
)

// Values of guard.touched.
const (
	idle   = 0  // no message waits for a result: the client may write
	paused = -1 // messages wait for the next Send: the client must not write
)

// begin opens the guard for a batch.
func (g *guard) begin() { g.touched.Store(int64(time.Since(epoch))) }

// end sets the guard to idle or paused.
func (g *guard) end(state int64) { g.touched.Store(state) }

// touch reports whether the client may write.
func (g *guard) touch() bool {
	last, now := g.touched.Load(), int64(time.Since(epoch))
	if last > 0 && now-last > int64(maxStop) {
		g.closed.Store(true)
	}
	if last > 0 {
		g.touched.CompareAndSwap(last, now)
	}
	return last != paused && !g.closed.Load()
}

// guardedConn is a connection that writes only while the guard is open.
type guardedConn struct {
	net.Conn
	guard *guard
}

// Write writes p if the guard allows it.
func (c guardedConn) Write(p []byte) (int, error) {
	if !c.guard.touch() {
		return 0, errGuarded
	}
	return c.Conn.Write(p)
}
