package shard

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// shard is one socket and all that its thread needs. After newShard has laid
// it out, only that thread touches it, except for page and fd.
type shard struct {
	group    *Group
	page     *metrics.Shard
	fd       int
	receiver *sys.Receiver
	sender   *sys.Sender
	batch    *packet.Batch
	copies   bool  // its broadcasts and multicasts are shard 0's too
	places   []int // of the batch's datagrams among the receiver's messages
	handler  packet.Handler
	sink     packet.Sink
	oldest   time.Time // when the sink got the first record that it still holds; zero: none
	zones    map[uint32]string
	gatherer gatherer
	sketches *steer.SketchPair
	random   uint32 // of observe
	waits    sys.RunDelay
	state    atomic.Int32    // see thread_linux.go
	begin    chan struct{}   // closed with the group
	gone     chan struct{}   // closed when the thread ends
	ended    chan<- shardEnd // of Run
	tid      atomic.Int32    // of the thread; 0: it has not started yet
}

func newShard(g *Group, index, fd int) (*shard, error) {
	c := &g.config
	page, err := g.options.Counters(index, c.cpu(index))
	if err != nil {
		return nil, err
	}
	memory := page.ReceiverMemory()
	if room := len(memory); memory != nil && room < sys.ReceiverSpace(c.Batch) {
		return nil, fmt.Errorf("the page of shard %d has %d bytes for the receiver, and a batch of %d takes %d", index, room, c.Batch, sys.ReceiverSpace(c.Batch))
	}
	sink, err := c.Sink(index, page)
	if err != nil {
		return nil, err
	}
	destinations := c.wantsDestinations(g.address, index)
	copies := index > 0 && destinations
	s := &shard{
		group: g,
		page:  page,
		fd:    fd,
		receiver: sys.NewReceiver(c.Batch, c.slot(), sys.ReceiverOptions{
			Destinations: destinations, Trains: c.GRO, Copies: copies, Memory: memory}),
		sink:     sink,
		copies:   copies,
		places:   make([]int, 0, c.Batch),
		handler:  c.Handler(index),
		zones:    make(map[uint32]string),
		sketches: steer.NewSketchPair(g.steerer.plan()),
		begin:    make(chan struct{}, 1),
		gone:     make(chan struct{}),
	}
	if s.handler == nil {
		s.handler = discard
	}
	if !c.OneWay {
		s.sender = sys.NewSender(c.Batch)
	}
	s.batch = packet.NewBatch(c.Batch, c.ReplySize, s.sink)
	s.setGathering()
	if fd >= 0 {
		s.setSocket(fd)
		s.state.Store(stateStopped)
	}
	return s, nil
}

// setGathering says for how long datagrams may gather in the receive buffer
// that the kernel has granted.
func (s *shard) setGathering() {
	if c := &s.group.config; c.OneWay && c.BusyPoll == 0 {
		s.gatherer.time = gatherFor(2 * s.group.granted)
	}
}

// mostTroubles is how many errors in a row that should pass do not: five
// seconds' worth.
const mostTroubles = 100

// loop receives until the group stops and the queue is empty.
//
// Under load it receives with raw system calls, which wait for up to a turn,
// and lets datagrams gather where that pays; once nothing has come for a
// turn, it waits in a call that the scheduler knows of. Whole-process CPU per
// datagram beside the C loop's, one shard at 300,000/s: 1.25 with Syscall6
// throughout, 1.02 with raw calls, 0.69 with gathering too. (Sysmon polls
// every 20 µs while it takes Ps from threads in system calls; a wake-up costs
// what several datagrams cost.) Idle with four shards, of a core: 1.9% with
// raw calls throughout, since sysmon then preempts each thread every 10 ms;
// 0.3% with this. The variants were measured once, when each was tried; what
// is kept, bench/run measures again (bench/README.md).
func (s *shard) loop() error {
	now := time.Now()
	gathered, doubt, lastLook, troubles := false, false, false, 0
	for last := now; ; { // last: when something came
		if s.group.yielding.Load() || s.page.Fenced() {
			return nil
		}
		flags, polled := 0, false
		var err error
		stopping, leaving := s.group.stopping.Load(), s.group.leaving.Load()
		switch {
		case stopping, leaving, gathered:
			flags = unix.MSG_DONTWAIT
		case now.Sub(last) < s.group.config.BusyPoll:
			flags = unix.MSG_DONTWAIT
		case (now.Sub(last) >= turn || crowded.Load()) && !doubt:
			if polled, err = s.wait(); err != nil {
				return err
			}
			flags = unix.MSG_DONTWAIT
		}
		s.receiver.Reset() // first: what is in the headers is counted by now
		s.page.BeginReceive()
		n, err := s.receiver.Receive(s.fd, flags)
		now = time.Now()
		s.page.Heartbeat(now)
		// A socket that was shut down is readable for ever, and says so only
		// to a receive that may wait (__skb_recv_udp, Linux 6.18).
		doubt = polled && empty(err)
		if gathered {
			s.gatherer.brought(n)
			gathered = false
		}
		switch {
		case n > 0:
			last, troubles = now, 0
			if err := s.take(s.fd, n, now); err != nil {
				return err
			}
			s.gatherer.count += n
			if n < cap(s.places) && s.gatherer.worth(now) {
				gathered = true
				if sys.Pause(s.gatherer.time) {
					runtime.Gosched()
				}
			}
		case empty(err) && (stopping && lastLook || leaving):
			return nil
		case empty(err):
			if troubles = 0; stopping { // what was past the filter when it came is queued by now
				lastLook = true
				sys.Pause(shortestGather)
			}
		case interrupted(err):
			runtime.Gosched()
		case fatal(err):
			return os.NewSyscallError("recvmmsg", err)
		case scarce(err), reported(err):
			if troubles++; troubles == mostTroubles {
				return fmt.Errorf("recvmmsg failed %d times in a row: %w", troubles, err)
			}
			time.Sleep(turn)
		}
		if !s.oldest.IsZero() && now.Sub(s.oldest) >= turn {
			s.sink.Flush()
			s.oldest = time.Time{}
		}
	}
}
