// Package metrics keeps the ledger: how many datagrams each shard received, and how many of them
// were delivered or dropped, so that at every moment
//
//	received = delivered + in flight + dropped, by reason
//	sent to the port = received + dropped by the kernel
//
// The threads that do the work write the counters, once a batch, each on cache lines of its own. A
// reader adds up: Shard.Read loads delivered and dropped before received, and the difference is in
// flight, so the first equation holds in every reading without a lock. Table describes the
// counters: the JSON status, log lines and Prometheus metrics (package prom) follow from it.
package metrics

import "sync/atomic"

// cacheLine is the distance at which two writers do not slow each other down: two lines of 64
// bytes, since x86 fetches lines in pairs (Intel's optimization manual on the spatial prefetcher),
// and the line of some arm64 cores.
const cacheLine = 128

// Counters are what this process has counted for one shard, in datagrams unless a comment says
// otherwise, and the totals of predecessors. The memory can outlive the process: see
// SharedCounters. Each group of fields has one writer at a time and any number of readers.
type Counters struct {
	// Written by the shard's thread.
	Received        atomic.Uint64
	Bytes           atomic.Uint64 // of payload kept
	Batches         atomic.Uint64 // receive calls that brought datagrams
	Handled         atomic.Uint64 // delivered without a record
	Replied         atomic.Uint64
	Truncated       atomic.Uint64
	Unparsed        atomic.Uint64
	NotAllowed      atomic.Uint64
	RateLimited     atomic.Uint64
	Malformed       atomic.Uint64
	ReplyLost       atomic.Uint64
	receivedBefore  atomic.Uint64 // Received when the last receive call began
	thread          atomic.Int64
	heartbeat       atomic.Int64 // last return to the socket, by clock; 0: none yet
	outputWaited    atomic.Int64 // nanoseconds of finished waits for the output
	outputWaitSince atomic.Int64 // start of the present wait, by clock; 0: the shard does not wait

	// MalformedHeader counts delivered datagrams with a header that was taken up to the field that
	// breaks the grammar.
	MalformedHeader atomic.Uint64

	_ [2*cacheLine - 17*8]byte

	// Written by the output's writer, or by the shard's thread if the records have no writer.
	Delivered  atomic.Uint64 // records
	OutputLost atomic.Uint64 // also written by the thread, when it drops records
	_          [cacheLine - 2*8]byte

	// Written by Shard.Read. The lower half of kernel is the socket's own counter as last read. As
	// one word, kernel counts each drop once, whenever the process dies.
	kernel atomic.Uint64 // drops at the socket since the socket was made
	cookie atomic.Uint64 // of the socket; 0: unknown
	used   atomic.Uint64 // nanoseconds of CPU time of the shard's threads, as last read
	drops  dropTimes

	// Written by an Inheritance.
	inherited [totalCount]atomic.Uint64
}

// The indexes of totals. received is the last: it is read after delivered and dropped, and grows
// before them.
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
	totalCount
)

// totals are the counts of a shard and its predecessors.
type totals [totalCount]uint64

// inFlight returns how many datagrams were received and are neither delivered nor dropped. Damaged
// memory may have more delivered than received datagrams: then the result is 0.
func (t *totals) inFlight() uint64 {
	accounted := t[delivered]
	for i := range Table {
		if c := &Table[i]; c.Drop == OnPurpose || c.Drop == AfterReceipt {
			accounted += t[c.total]
		}
	}
	return t[received] - min(t[received], accounted)
}

// lost returns the datagrams that were to be delivered and are lost.
func (t *totals) lost() (n uint64) {
	for _, c := range dropReasons {
		if c.IsLoss() {
			n += t[c.total]
		}
	}
	return n
}

// ownCounts has, for each of the totals, the function that returns what this process has counted.
var ownCounts = func() (own [totalCount]func(*Counters) uint64) {
	for i := range Table {
		if c := &Table[i]; !c.Gauge {
			own[c.total] = c.own
		}
	}
	own[cpuTime] = func(c *Counters) uint64 { return c.used.Load() }
	return own
}()

// total returns the totals. No more datagrams are delivered and dropped in them than received.
func (c *Counters) total() (t totals) {
	for i := range t {
		t[i] = c.inherited[i].Load() + ownCounts[i](c)
	}
	return t
}

// BeginReceive records that the datagrams of the last receive call are counted, and that the next
// receive call begins. The shard's thread calls BeginReceive after sys.Receiver.Reset. If the
// thread ends and Received is still the same, the datagrams of the receive call are in the
// receiver's memory alone (sys.Arrived).
func (c *Counters) BeginReceive() {
	if now := c.Received.Load(); c.receivedBefore.Load() != now {
		c.receivedBefore.Store(now)
	}
}

// uncounted returns whether the receiver's memory may have a batch that is not in Received.
func (c *Counters) uncounted() bool { return c.Received.Load() == c.receivedBefore.Load() }

// updateKernel sets kernel to the socket's counter of 32 bits, which wraps.
func (c *Counters) updateKernel(now uint32) {
	for {
		seen := c.kernel.Load()
		if c.kernel.CompareAndSwap(seen, seen+uint64(now-uint32(seen))) {
			return
		}
	}
}

// raiseKernel sets kernel to what a predecessor has seen at the same socket, if that is more.
func (c *Counters) raiseKernel(seen uint64) {
	for {
		own := c.kernel.Load()
		if own >= seen || c.kernel.CompareAndSwap(own, seen) {
			return
		}
	}
}

// continueKernel continues the kernel drops of a predecessor at the same socket, and the time of the
// last one.
func (c *Counters) continueKernel(was *Counters) {
	seen, last := was.kernel.Load(), was.drops.last[kernelReason].Load()
	c.raiseKernel(seen)
	if c.kernel.Load() == seen {
		c.drops.last[kernelReason].Store(last)
	}
	c.drops.dated[kernelReason].Store(max(seen, c.drops.dated[kernelReason].Load()))
}
