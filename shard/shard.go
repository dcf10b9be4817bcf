package shard

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// shard is a socket with all that its thread needs. After newShard only the thread uses a shard,
// except for counters, fd, state and the channels.
type shard struct {
	group          *Group
	counters       *metrics.Shard
	fd             int
	receiver       *sys.Receiver
	sender         *sys.Sender // nil: OneWay
	batch          *packet.Batch
	dropDuplicates bool  // of broadcasts and multicasts: shard 0 handles these
	messages       []int // the receiver's message of each datagram in batch
	handler        packet.Handler
	sink           packet.Sink
	oldestRecord   time.Time // arrival of the oldest record in the sink; zero: none
	zones          map[uint32]string
	coalescer      coalescer
	sketches       *steer.SketchPair[*sketch]
	random         uint32 // see randomBelow
	runDelay       sys.RunDelay

	state atomic.Int32    // see thread_linux.go
	tid   atomic.Int32    // of the thread; 0: not started
	begin chan struct{}   // closed with the group
	gone  chan struct{}   // closed at the end of the thread
	ended chan<- shardEnd // of Run
}

// newShard lays out a shard. fd is -1 if AdoptSockets opens the socket.
func newShard(g *Group, index, fd int) (*shard, error) {
	c := &g.config
	counters, err := g.options.Counters(index, c.cpu(index))
	if err != nil {
		return nil, err
	}
	memory := counters.ReceiverMemory()
	if need := sys.ReceiverSpace(c.Batch); memory != nil && len(memory) < need {
		return nil, fmt.Errorf("the counters of shard %d have %d bytes for the receiver, and a batch of %d needs %d", index, len(memory), c.Batch, need)
	}
	sink, err := c.Sink(index, counters)
	if err != nil {
		return nil, err
	}
	destinations := c.wantsDestinations(g.address, index)
	dropDuplicates := index > 0 && destinations
	plan := g.attacher.initialPlan()
	s := &shard{
		group:    g,
		counters: counters,
		fd:       fd,
		receiver: sys.NewReceiver(c.Batch, c.slot(), sys.ReceiverOptions{
			Destinations: destinations, GRO: c.GRO, DropDuplicates: dropDuplicates, Memory: memory}),
		batch:          packet.NewBatch(c.Batch, c.ReplySize, sink),
		dropDuplicates: dropDuplicates,
		messages:       make([]int, 0, c.Batch),
		handler:        c.Handler(index),
		sink:           sink,
		zones:          make(map[uint32]string),
		sketches:       steer.NewSketchPair(newSketch(plan), newSketch(plan)),
		begin:          make(chan struct{}, 1),
		gone:           make(chan struct{}),
	}
	s.batch.Port = g.address.Port()
	if s.handler == nil {
		s.handler = discardHandler
	}
	if !c.OneWay {
		s.sender = sys.NewSender(c.Batch)
	}
	s.setPause()
	if fd >= 0 {
		s.setSocket(fd)
		s.state.Store(stateStopped)
	}
	return s, nil
}

// setPause sets the pause of receive coalescing for the receive buffer that the kernel has granted.
func (s *shard) setPause() {
	if c := &s.group.config; c.OneWay && c.BusyPoll == 0 {
		s.coalescer.pause = pauseFor(2 * s.group.granted)
	}
}

// setSocket gives the shard its socket, before Run, and before other goroutines have the group.
func (s *shard) setSocket(fd int) {
	s.fd = fd
	s.counters.Attach(socket{descriptor(fd), s.counters})
}
