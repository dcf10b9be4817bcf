package loadgen

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/udpshard/udpshard/internal/sys"
)

// sender is a goroutine that sends from its flows in turn.
type sender struct {
	flows    []*flow
	heavy    float64 // share of the first flow in the sender's datagrams; 0: even
	text     *text
	gso      int
	batch    int
	pace     pacer
	count    uint64 // datagrams to try; 0: no end
	duration time.Duration
	cpu      int // -1: not pinned
	stop     *atomic.Bool
	anySent  *atomic.Bool // by any sender

	turn      int
	tried     uint64
	fromHeavy uint64
	slab      [][]byte // a buffer for each message
	messages  []ipv4.Message
	now       []byte

	result Result
	err    error
}

// layOut allocates all memory that the loop writes to.
func (s *sender) layOut() {
	s.slab = make([][]byte, s.batch)
	s.messages = make([]ipv4.Message, s.batch)
	for i := range s.messages {
		s.slab[i] = make([]byte, 0, s.gso*s.text.longest+16)
		s.messages[i].Buffers = make([][]byte, 1)
	}
	s.now = make([]byte, 0, len(timeForm))
	s.result.Errors = make(map[string]uint64)
}

// run sends until duration or count is over, or until stop.
func (s *sender) run(ctx context.Context, start time.Time) {
	if s.cpu >= 0 {
		runtime.LockOSThread() // not unlocked: the pinned thread ends with the goroutine
		if s.err = sys.PinThread(s.cpu); s.err != nil {
			return
		}
	}
	for !s.stop.Load() {
		elapsed := time.Since(start)
		over := s.duration > 0 && elapsed >= s.duration
		if over {
			if s.pace.rate == 0 {
				break
			}
			elapsed = s.duration
		}
		s.release(s.pace.due(elapsed, s.maxRelease()))
		if over && s.count == 0 {
			s.pace.end(elapsed)
		}
		if over || s.count > 0 && s.tried >= s.count || s.cannotSend(elapsed) {
			break
		}
		wake := s.pace.next()
		if s.duration > 0 {
			wake = min(wake, s.duration)
		}
		s.sleep(ctx, time.Until(start.Add(wake)))
	}
	s.result.Elapsed = time.Since(start)
	s.result.Missed = s.pace.missed
}

// maxRelease returns how many datagrams may be tried now.
func (s *sender) maxRelease() uint64 {
	most := uint64(s.batch * s.gso)
	if s.pace.rate > 0 {
		most = 1 << 62
	}
	if s.count > 0 {
		most = min(most, s.count-s.tried)
	}
	return most
}

// cannotSend reports whether no sender has sent anything for a while, and this sender has an error.
func (s *sender) cannotSend(elapsed time.Duration) bool {
	const while = 500 * time.Millisecond
	return s.result.LastError != nil && elapsed > while && !s.anySent.Load()
}

func (s *sender) sleep(ctx context.Context, wait time.Duration) {
	switch {
	case wait <= 0:
	case wait < 20*time.Millisecond:
		time.Sleep(wait)
	default:
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// flowsPerRelease is how many flows have a part in a release. More flows would mix better, at the
// cost of a system call each, and on loopback of a wake-up of the receiver.
const flowsPerRelease = 5

// release sends n datagrams, a part from each of the next flows.
func (s *sender) release(n uint64) {
	part := max((n+flowsPerRelease-1)/flowsPerRelease, n/uint64(len(s.flows)))
	gso := uint64(s.gso)
	part = min((part+gso-1)/gso*gso, uint64(s.batch)*gso)
	for n > 0 && !s.stop.Load() {
		k := min(part, n)
		if tried := s.burst(s.nextFlow(k), int(k)); tried < k {
			s.pace.returnUntried(n - tried)
			return
		}
		n -= k
	}
}

// nextFlow returns flows in turn, and the first flow whenever it is behind its share.
func (s *sender) nextFlow(n uint64) *flow {
	light := s.flows
	if s.heavy > 0 {
		if len(light) == 1 || float64(s.fromHeavy)+float64(n)/2 < s.heavy*float64(s.tried+n) {
			s.fromHeavy += n
			return s.flows[0]
		}
		light = s.flows[1:]
	}
	f := light[s.turn]
	s.turn = (s.turn + 1) % len(light)
	return f
}

// burst sends n datagrams of a flow in one call, or in several where the kernel takes only a part.
// burst returns how many datagrams were tried: an error ends the burst. The number of a datagram
// that was not sent is used again.
func (s *sender) burst(f *flow, n int) (tried uint64) {
	messages := s.render(f, n)
	for len(messages) > 0 && !s.stop.Load() {
		done, err := f.batch.WriteBatch(messages, 0)
		done = max(done, 0)
		s.result.Calls++
		for _, m := range messages[:done] {
			k := s.segments(m)
			f.next += k
			tried += k
			s.result.Sent += k
			s.result.Bytes += uint64(len(m.Buffers[0]))
		}
		if done > 0 && !s.anySent.Load() {
			s.anySent.Store(true)
		}
		if messages = messages[done:]; len(messages) == 0 {
			break
		}
		// A short count without an error: sendmmsg hid the error, or the socket had no space.
		refused, unreachable := f.readICMPErrors()
		s.result.Refused += refused
		s.result.Unreachable += unreachable
		switch {
		case err == nil, interrupted(err):
		case stopped(err):
			s.tried += tried
			return tried
		case refused+unreachable > 0 && maybeEarlier(err): // of an earlier datagram
		case alwaysEarlier(err):
			s.result.Refused++
		default:
			k := s.segments(messages[0])
			tried += k
			s.result.Errors[errorName(err)] += k
			s.result.LastError = err
			s.tried += tried
			return tried
		}
	}
	s.tried += tried
	return tried
}

func (s *sender) segments(m ipv4.Message) uint64 {
	if s.gso == 1 {
		return 1
	}
	return uint64(len(m.Buffers[0]) / s.text.size)
}

// render writes n datagrams of a flow into messages.
func (s *sender) render(f *flow, n int) []ipv4.Message {
	s.now = appendTime(s.now[:0], time.Now())
	seq, used := f.next, 0
	for n > 0 {
		buf := s.slab[used][:0]
		for range min(n, s.gso) {
			buf = s.text.append(buf, f.number, seq, s.now)
			seq++
			n--
		}
		s.slab[used] = buf
		s.messages[used].Buffers[0] = buf
		used++
	}
	return s.messages[:used]
}

// errNothing: a run that sent nothing has failed.
var errNothing = errors.New("nothing could be sent")
