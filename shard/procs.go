package shard

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// reserved counts the Ps that open groups have added to GOMAXPROCS.
var reserved struct {
	sync.Mutex
	shards int // of all groups
	procs  int // min(shards, maxReserved), at most since the last group was closed
}

// procsScarce: more shards than reserved Ps. A shard must not keep a P while it waits.
var procsScarce atomic.Bool

// maxReserved bounds the reserved Ps. A thread without work may walk over all Ps (findRunnable, Go
// 1.26): with 2,000 Ps on two CPUs, a takeover spent 0.6 s there.
var maxReserved = max(64, 2*runtime.NumCPU())

// reserveProcs adds n Ps to GOMAXPROCS, until releaseProcs. A shard's thread keeps its P during a
// raw system call: without additional Ps, shards would leave none for outputs, HTTP and the
// collector.
//
// Each change of GOMAXPROCS stops the world, for milliseconds beside many shards that read. So Ps
// are reserved before a group reads, and released after the last group is closed.
func reserveProcs(n int) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.shards += n
	if more := min(reserved.shards, maxReserved) - reserved.procs; more > 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + more)
		reserved.procs += more
	}
	procsScarce.Store(reserved.shards > reserved.procs)
}

func releaseProcs(n int) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.shards -= n
	if reserved.shards == 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - reserved.procs)
		reserved.procs = 0
	}
	procsScarce.Store(reserved.shards > reserved.procs)
}
