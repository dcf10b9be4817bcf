package handoff

import (
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// StallDetector finds stalled shards of a group in another process, by the shared counters and by
// duplicates of the sockets. A shard is stalled if no heartbeat comes for the detector's timeout
// while datagrams are queued, as in a process that is stopped by a signal. A shard that waits for
// its output keeps its heartbeat: a successor would wait for the output too. A StallDetector is
// for one goroutine at a time.
type StallDetector struct {
	timeout  time.Duration
	interval time.Duration // of calls of Check
	shards   []observedShard
	last     time.Time // of Check
}

type observedShard struct {
	counters  *metrics.Shard
	socket    *os.File
	heartbeat int64
	waiting   time.Duration // with datagrams in the queue, since heartbeat
}

// CheckInterval returns how often Check should be called for a timeout.
func CheckInterval(timeout time.Duration) time.Duration { return max(timeout/10, time.Millisecond) }

// NewStallDetector observes shards and their sockets, which have the same order.
func NewStallDetector(shards []*metrics.Shard, sockets []*os.File, timeout time.Duration) *StallDetector {
	d := &StallDetector{timeout: timeout, interval: CheckInterval(timeout)}
	for i, counters := range shards[:min(len(shards), len(sockets))] {
		d.shards = append(d.shards, observedShard{counters: counters, socket: sockets[i]})
	}
	return d
}

// SetTimeout changes the timeout. The interval of Check and what Check has observed stay.
func (d *StallDetector) SetTimeout(timeout time.Duration) { d.timeout = timeout }

// Check describes a stalled shard; "" if none is. Time in which Check was not called does not
// count: the host, or this process, may have been stopped.
func (d *StallDetector) Check(now time.Time) (stalled string) {
	elapsed := min(now.Sub(d.last), 2*d.interval)
	if d.last.IsZero() {
		elapsed = 0
	}
	d.last = now
	for i := range d.shards {
		s := &d.shards[i]
		heartbeat, queued := s.counters.LastHeartbeat(), queuedBytes(s.socket)
		switch {
		case heartbeat != s.heartbeat, heartbeat == 0, queued == 0:
			s.heartbeat, s.waiting = heartbeat, 0
		default:
			s.waiting += elapsed
		}
		if s.waiting >= d.timeout && stalled == "" {
			stalled = fmt.Sprintf("shard %d has not read for %s, and %d bytes wait", s.counters.Index, s.waiting.Round(time.Millisecond), queued)
		}
	}
	return stalled
}

// queuedBytes returns the size of a socket's receive queue; 0 where the kernel does not say.
func queuedBytes(socket *os.File) (bytes uint32) {
	_ = sys.Control(socket, func(fd int) error {
		m, err := sys.SocketMemory(fd)
		bytes = m.Queued
		return err
	})
	return bytes
}
