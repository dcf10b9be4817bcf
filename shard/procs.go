package shard

import (
	"runtime"
	"sync"
)

// reserving keeps concurrent changes of GOMAXPROCS from undoing each other.
var reserving sync.Mutex

// reserve adds n to GOMAXPROCS, until the function it returns is called. A
// shard's thread holds its P throughout raw system calls, so without Ps of
// their own the shards would leave none for outputs, HTTP and the collector.
func reserve(n int) (release func()) {
	change := func(n int) {
		reserving.Lock()
		defer reserving.Unlock()
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + n)
	}
	change(n)
	return sync.OnceFunc(func() { change(-n) })
}
