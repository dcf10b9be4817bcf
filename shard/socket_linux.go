package shard

import (
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// descriptor is a metrics.Socket without a thread.
type descriptor int

func (d descriptor) Memory() (queued, buffer, dropped uint32, err error) {
	m, err := sys.SocketMemory(int(d))
	return m.Queued, m.Buffer, m.Dropped, err
}

func (d descriptor) Cookie() uint64 {
	cookie, _ := sys.SocketCookie(int(d)) // 0 before Linux 4.12, which has no SO_MEMINFO either
	return cookie
}

// CPUTime returns errNoThread.
func (d descriptor) CPUTime() (time.Duration, error) { return 0, errNoThread }

// Filtered reports whether a process has attached a socket filter.
func (d descriptor) Filtered() bool {
	instructions, err := sys.SocketFilter(int(d))
	return err == nil && instructions > 0
}

// socket is the metrics.Socket of a shard. The descriptor never changes: while the shard reads
// surplus sockets, the counters still have the drops of the shard's own socket.
type socket struct {
	descriptor
	counters *metrics.Shard
}

func (s socket) CPUTime() (time.Duration, error) {
	thread := s.counters.Thread()
	if thread == 0 { // would be the calling thread
		return 0, errNoThread
	}
	return sys.ThreadCPU(thread)
}

var errNoThread = errors.New("the shard has no thread yet")
