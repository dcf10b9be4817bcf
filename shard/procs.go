package shard

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// reserved are the Ps that open groups have made GOMAXPROCS larger by.
var reserved struct {
	sync.Mutex
	shards int // of all groups
	ps     int // as many, up to mostReserved
}

// crowded says that there are more shards than Ps reserved for them: none may hold its P while
// it waits.
var crowded atomic.Bool

// mostReserved is the most Ps that are reserved. Whenever a thread looks for work, the scheduler
// may walk over all Ps (findRunnable, Go 1.26): with 2,000 of them and two CPUs, a takeover spent
// 0.6 s there.
var mostReserved = max(64, 2*runtime.NumCPU())

// reserve makes GOMAXPROCS larger by n, until release. A shard's thread holds its P throughout
// raw system calls, so without Ps of their own the shards would leave none for outputs, HTTP
// and the collector.
//
// Each change stops the world, which takes milliseconds beside many shards that read. So Ps are
// reserved before a group reads, and given back when the last group is closed.
func reserve(n int) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.shards += n
	if more := min(reserved.shards, mostReserved) - reserved.ps; more > 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + more)
		reserved.ps += more
	}
	crowded.Store(reserved.shards > reserved.ps)
}

func release(n int) {
	reserved.Lock()
	defer reserved.Unlock()
	reserved.shards -= n
	if reserved.shards == 0 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) - reserved.ps)
		reserved.ps = 0
	}
	crowded.Store(reserved.shards > reserved.ps)
}
