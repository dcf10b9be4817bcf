// Package metrics keeps the ledger: for every shard, what was received and
// what became of it, so that at every moment
//
//	received = delivered + in flight + dropped, by reason
//	sent to the port = received + dropped by the kernel
//
// Counters are written by the threads that do the work, once a batch, each on
// cache lines of its own. A reader adds up: it loads what became of datagrams
// before it loads how many were received, and calls the difference in flight,
// so the first equation holds in every reading without a lock. The same
// readings make the JSON status and the Prometheus metrics.
package metrics

import "sync/atomic"

// cacheLine is the distance at which two writers do not disturb each other:
// two 64-byte lines, since x86 fetches them in pairs (Intel's optimization
// manual on the spatial prefetcher), and the line of some arm64 cores.
const cacheLine = 128

// Counters are the running totals of one shard, in datagrams unless named
// otherwise, in memory that can outlive the process: see Book. Each group of
// fields has one writer at a time; anybody may read. They are what this
// process has counted; what its predecessors had is beside them.
type Counters struct {
	// Written by the shard's thread.
	Received    atomic.Uint64
	Bytes       atomic.Uint64 // of payload kept
	Batches     atomic.Uint64 // receive calls that brought something
	Handled     atomic.Uint64 // delivered, without a record
	Replied     atomic.Uint64
	Truncated   atomic.Uint64
	Unparsed    atomic.Uint64
	NotAllowed  atomic.Uint64
	RateLimited atomic.Uint64
	Malformed   atomic.Uint64
	ReplyLost   atomic.Uint64
	before      atomic.Uint64 // Received, when the last receive call began
	thread      atomic.Int64
	beat        atomic.Int64 // when it last returned to the socket: see clock; 0: never yet
	held        atomic.Int64 // nanoseconds for which it waited for its output
	heldSince   atomic.Int64 // see clock; 0: it does not wait

	// MalformedHeader counts delivered datagrams whose header was taken up to
	// the field that breaks the grammar.
	MalformedHeader atomic.Uint64

	_ [2*cacheLine - 17*8]byte

	// Written by the output's writer, or by the shard's thread if its
	// records go to none.
	Delivered  atomic.Uint64 // as records
	OutputLost atomic.Uint64 // the thread adds to it too, where it drops records
	_          [cacheLine - 2*8]byte

	// Written by Shard.Read. The lower half of kernel is the socket's own
	// counter as last seen: one word, so that nothing is counted twice or
	// missed, whenever the process dies.
	kernel atomic.Uint64 // drops at the socket, since it was made
	cookie atomic.Uint64 // which socket that is; 0: unknown
	used   atomic.Uint64 // nanoseconds of CPU that its threads have used, as last seen
	_      [cacheLine - 3*8]byte

	// Written by an Estate: the totals of predecessors.
	inherited [kinds]atomic.Uint64 // a cache line
}

// The kinds of totals. The last is received: it is read after all that
// becomes of datagrams, and added to before.
const (
	delivered = iota
	notAllowed
	rateLimited
	malformed
	outputLost
	lostInCrash
	replied
	truncated
	unparsed
	malformedHeader
	replyLost
	kernel
	cpuTime // in nanoseconds
	byteCount
	batches
	received
	kinds
)

// totals are what a shard and its predecessors have counted.
type totals [kinds]uint64

// inFlight returns how many datagrams were received and are neither delivered nor dropped. The sum
// of the totals of damaged memory may be larger than what was received: then the result is 0.
func (t *totals) inFlight() uint64 {
	accounted := t[delivered]
	for i := range Table {
		if c := &Table[i]; c.Drop == ByPolicy || c.Drop == AfterReceipt {
			accounted += t[c.total]
		}
	}
	return t[received] - min(t[received], accounted)
}

// ownCounts has the function that returns what this process has counted, for each of the totals.
var ownCounts = func() (own [kinds]func(*Counters) uint64) {
	for i := range Table {
		if c := &Table[i]; !c.Gauge {
			own[c.total] = c.own
		}
	}
	own[cpuTime] = func(c *Counters) uint64 { return c.used.Load() }
	return own
}()

// total returns the totals of the shard and its predecessors. Received is read last: so no more
// datagrams are delivered and dropped than are received.
func (c *Counters) total() (t totals) {
	for kind := range t {
		t[kind] = c.inherited[kind].Load() + ownCounts[kind](c)
	}
	return t
}

// inherit adds what a predecessor has counted more.
func (c *Counters) inherit(more totals) {
	for kind := kinds - 1; kind >= 0; kind-- {
		if more[kind] > 0 {
			c.inherited[kind].Add(more[kind])
		}
	}
}

// BeginReceive says that what the last receive call brought is counted, and that
// the next one begins. The thread calls it after sys.Receiver.Reset: if Received
// does not change until the thread ends, what the receive call has brought
// stands in the receiver's memory alone (sys.Arrived).
func (c *Counters) BeginReceive() {
	if now := c.Received.Load(); c.before.Load() != now {
		c.before.Store(now)
	}
}

// uncounted says whether a batch may be in the receiver's memory that is not in
// Received.
func (c *Counters) uncounted() bool { return c.Received.Load() == c.before.Load() }

// saw takes over what the socket says of its drops, in 32 bits.
func (c *Counters) saw(now uint32) {
	for {
		seen := c.kernel.Load()
		if c.kernel.CompareAndSwap(seen, seen+uint64(now-uint32(seen))) {
			return
		}
	}
}

// keep goes on from what a predecessor has seen of the same socket.
func (c *Counters) keep(seen uint64) {
	for {
		own := c.kernel.Load()
		if own >= seen || c.kernel.CompareAndSwap(own, seen) {
			return
		}
	}
}
