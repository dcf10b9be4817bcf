package handoff

import (
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// Vigil watches the shards of a group in another process, by the pages in its
// metrics.SharedCounters and by the sockets, of which it has duplicates: whether one
// stays away from a queue that isn't empty, as all do in a process that is
// stopped. One that waits for its output does not count: whoever took its
// place would wait too. It is for one goroutine at a time.
type Vigil struct {
	after   time.Duration
	tick    time.Duration // how often Look is called
	watched []watched
	last    time.Time
}

type watched struct {
	page    *metrics.Shard
	socket  *os.File
	pulse   int64
	waiting time.Duration // that datagrams were seen to wait, since the last pulse
}

// VigilTick is how often Look should be called, for a shard that is taken for
// stuck after such a time.
func VigilTick(after time.Duration) time.Duration { return max(after/10, time.Millisecond) }

// NewVigil watches shards and their sockets, which are in the same order. A
// shard is stuck when it is seen to be for as long as after.
func NewVigil(pages []*metrics.Shard, sockets []*os.File, after time.Duration) *Vigil {
	v := &Vigil{after: after, tick: VigilTick(after)}
	for i, page := range pages[:min(len(pages), len(sockets))] {
		v.watched = append(v.watched, watched{page: page, socket: sockets[i]})
	}
	return v
}

// SetPatience changes how long a shard may stay away, and leaves alone how often Look is
// to be called, and what it has seen.
func (v *Vigil) SetPatience(after time.Duration) { v.after = after }

// Look returns what is stuck, in words, and nothing while all is well. Time in
// which nobody looked does not count: when the whole host was stopped, or this
// process, that is nobody's fault.
func (v *Vigil) Look(now time.Time) (stuck string) {
	seen := min(now.Sub(v.last), 2*v.tick)
	if v.last.IsZero() {
		seen = 0
	}
	v.last = now
	for i := range v.watched {
		w := &v.watched[i]
		pulse, queued := w.page.LastHeartbeat(), queued(w.socket)
		switch {
		case pulse != w.pulse, pulse == 0, queued == 0:
			w.pulse, w.waiting = pulse, 0
		default:
			w.waiting += seen
		}
		if w.waiting >= v.after && stuck == "" {
			stuck = fmt.Sprintf("shard %d has not read for %s, and %d bytes wait", w.page.Index, w.waiting.Round(time.Millisecond), queued)
		}
	}
	return stuck
}

// queued returns the bytes that wait at a socket. One that can't be asked has
// none.
func queued(socket *os.File) (bytes uint32) {
	_ = sys.Control(socket, func(fd int) error {
		m, err := sys.SocketMemory(fd)
		bytes = m.Queued
		return err
	})
	return bytes
}
