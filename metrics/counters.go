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
// otherwise. Each group of fields has one writer at a time; anybody may read.
type Counters struct {
	// Written by the shard's thread.
	Received    atomic.Uint64
	Bytes       atomic.Uint64 // of payload kept
	Batches     atomic.Uint64 // receive calls that brought something
	Replied     atomic.Uint64
	Truncated   atomic.Uint64
	Unparsed    atomic.Uint64
	NotAllowed  atomic.Uint64
	RateLimited atomic.Uint64
	Malformed   atomic.Uint64
	ReplyLost   atomic.Uint64
	_           [cacheLine - 10*8]byte

	// Written by the output's writer, or by the shard's thread if its
	// records go to none.
	Delivered  atomic.Uint64
	OutputLost atomic.Uint64
	_          [cacheLine - 2*8]byte

	// Written by Shard.Read, under its lock.
	Kernel atomic.Uint64
	_      [cacheLine - 1*8]byte
}
