package sockets

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// LeastInterval is the shortest interval in which WatchFor judges: a thread may wait for a busy CPU
// for some tens of milliseconds before it reads.
const LeastInterval = 100 * time.Millisecond

// Two looks are not enough: the queue of a socket with a slow reader is nearly always full, and has
// room only right after a read. With room for a tenth of the time, a hundred looks all miss it once
// in forty thousand. Where a busy CPU delays looks, the interval gets longer until there are
// leastLooks. A look takes two walks over the kernel's hash table of ports, about 50 µs.
const (
	looksPerInterval = 100
	leastLooks       = 20
	longestPause     = 50 * time.Millisecond
)

// Watched is a socket and what happened at the socket during the watch.
type Watched struct {
	Socket
	// Dropped are the datagrams dropped meanwhile.
	Dropped uint32
	// Unread: the socket seems not to be read. In no look was the queue empty, between no two looks
	// did the queue shrink, and no read datagram is still charged. A socket that is not read and
	// receives nothing is not detected.
	Unread bool

	grew       bool    // or stayed, and was never empty
	unreleased []int64 // in each look with the socket
}

// Watch is what the sockets of a port did in an interval.
type Watch struct {
	Sockets []Watched // the sockets at the end, in List's order
	Looks   int
	Elapsed time.Duration
}

// WatchFor looks at the sockets of a port repeatedly for an interval, or until the context ends.
// Interval 0 is a single look. With an interval below LeastInterval, no socket is called unread.
// Without /proc, WatchFor returns the sockets without processes, and an error.
func WatchFor(ctx context.Context, port uint16, interval time.Duration) (Watch, error) {
	d, err := open()
	if err != nil {
		return Watch{}, err
	}
	defer d.Close()
	var w Watch
	began := time.Now()
	for {
		found, err := d.dump(udp, port)
		if err != nil {
			return Watch{}, err
		}
		w.add(found)
		w.Elapsed = time.Since(began)
		enough := w.Looks >= leastLooks || interval < LeastInterval
		if w.Elapsed >= interval && enough || !pause(ctx, interval) {
			break
		}
	}
	w.findUnread()
	err = findProcesses(len(w.Sockets), func(i int) *Socket { return &w.Sockets[i].Socket })
	return w, err
}

// pause waits for an uneven time until the next look, so that a periodic reader is not always seen
// at the same point of its period.
func pause(ctx context.Context, interval time.Duration) bool {
	step := min(interval/looksPerInterval, longestPause)
	step = step/2 + rand.N(step+1)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(step):
		return true
	}
}

// add adds a look.
func (w *Watch) add(found []Socket) {
	before := make(map[uint64]Watched, len(w.Sockets))
	for _, s := range w.Sockets {
		before[s.Cookie] = s
	}
	w.Looks++
	w.Sockets = make([]Watched, 0, len(found))
	for _, s := range found {
		now := Watched{Socket: s, grew: s.QueueBytes > 0}
		if was, ok := before[s.Cookie]; ok {
			now.grew = was.grew && s.QueueBytes >= was.QueueBytes && s.QueueBytes > 0
			now.unreleased = was.unreleased
			now.Dropped = was.Dropped + (s.Drops - was.Drops) // also where the counter wraps
		}
		now.unreleased = append(now.unreleased, s.unreleased)
		w.Sockets = append(w.Sockets, now)
	}
}

// findUnread sets Unread of the sockets that were present in all looks.
func (w *Watch) findUnread() {
	if w.Elapsed < LeastInterval || w.Looks < leastLooks {
		return
	}
	for i := range w.Sockets {
		s := &w.Sockets[i]
		s.Unread = s.grew && len(s.unreleased) == w.Looks && !s.releases()
	}
}

// releases distinguishes a slow reader, whose queue grows from look to look although datagrams are
// read. Bytes that are read stay charged until a quarter of the buffer has been read
// (udp_rmem_release in net/ipv4/udp.c, Linux 6.18), so unreleased changes with every read, and only
// then. Arrivals between the kernel's two numbers make the difference too small, never too large:
// the maximum of each half counts.
func (s *Watched) releases() bool {
	half := len(s.unreleased) / 2
	return slices.Max(s.unreleased[:half]) != slices.Max(s.unreleased[half:])
}
