package sockets

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// LeastInterval is the shortest in which Watch judges: a thread that is to
// read may well wait some tens of milliseconds for a busy CPU.
const LeastInterval = 100 * time.Millisecond

// Looks are many, since two say little: a socket whose reader can't keep up
// is nearly always full, and only in between has it room for what was just
// read. A hundred looks miss that one time in forty thousand if there is room
// for a tenth of the time. Where a busy CPU keeps the looks from coming so
// often, the interval gets longer until there are leastLooks. One takes two
// walks over the kernel's hash table of ports, some 50 µs.
const (
	looksAnInterval = 100
	leastLooks      = 20
	longestPause    = 50 * time.Millisecond
)

// Watched is a socket, and what became of it while it was watched.
type Watched struct {
	Socket
	// Dropped are the datagrams dropped meanwhile.
	Dropped uint32
	// Unread says that nobody seems to read it: in no look was its queue
	// empty, from none to the next did it shrink, and nothing was read from
	// it that is still charged. A socket that nobody reads and nobody sends
	// to is not found out.
	Unread bool

	grew       bool    // or stayed, and was never empty
	unreleased []int64 // in each look that saw it
}

// Watch is what a port's sockets did in an interval.
type Watch struct {
	Sockets []Watched // those there at its end, in List's order
	Looks   int
	Elapsed time.Duration
}

// WatchFor looks at the sockets of a port again and again for an interval, or
// until the context ends. An interval of 0 is a single look, and less than
// LeastInterval is no ground to call a socket unread. Where there is no /proc,
// the sockets come without processes, and an error.
func WatchFor(ctx context.Context, port uint16, interval time.Duration) (Watch, error) {
	d, err := open()
	if err != nil {
		return Watch{}, err
	}
	defer d.Close()
	var w Watch
	began := time.Now()
	for {
		found, err := d.look(port)
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
	w.judge()
	err = findProcesses(len(w.Sockets), func(i int) *Socket { return &w.Sockets[i].Socket })
	return w, err
}

// pause waits until the next look, unevenly: a reader that wakes up by a
// clock is not to be met at the same point of its turn each time.
func pause(ctx context.Context, interval time.Duration) bool {
	step := min(interval/looksAnInterval, longestPause)
	step = step/2 + rand.N(step+1)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(step):
		return true
	}
}

// add takes one more look into account.
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

// judge says of those that were there all the time whether they are read.
func (w *Watch) judge() {
	if w.Elapsed < LeastInterval || w.Looks < leastLooks {
		return
	}
	for i := range w.Sockets {
		s := &w.Sockets[i]
		s.Unread = s.grew && len(s.unreleased) == w.Looks && !s.releases()
	}
}

// releases tells a reader from whom the queue runs away: it grows from look
// to look although it is read. What is read of a long queue stays charged
// until a quarter of the buffer has come together (udp_rmem_release in
// net/ipv4/udp.c, Linux 6.18), so the figure moves with every read, and with
// nothing else. Arrivals between the kernel's two figures make the
// difference too small, never too large: the most of each half counts.
func (s *Watched) releases() bool {
	half := len(s.unreleased) / 2
	return slices.Max(s.unreleased[:half]) != slices.Max(s.unreleased[half:])
}
