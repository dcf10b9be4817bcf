package shard

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// Group is the shards of one address. Any goroutine may call its methods.
type Group struct {
	config    Config
	options   engine.Options
	address   address
	bound     netip.Addr // zero for a wildcard address
	granted   int        // receive buffer
	shards    []*shard
	surplus   []int // inherited sockets without a shard
	listener  *metrics.Listener
	admission atomic.Pointer[admission]
	attacher  *attacher
	began     time.Time
	closing   sync.Once

	stopping      atomic.Bool // Run rejects new datagrams, and ends with empty queues
	draining      atomic.Bool // Drain was called
	quiescing     atomic.Bool // Quiesce was called
	quiesced      bool        // Run has returned for Quiesce
	quiesceCalled chan struct{}
	runState      runState

	readers      atomic.Int32  // shards that have begun to read
	reading      chan struct{} // closed once all shards have
	readingSince time.Time     // set before reading is closed
}

// Listen opens the sockets of a group, lays out the shards and starts their threads. The kernel
// queues datagrams from then on, and Run reads them. The error is a *ConfigError, an *InUseError,
// or an error of the kernel with the option and the requested value. From Listen to Close
// GOMAXPROCS is larger by the number of shards: a shard's thread keeps a P while it waits in the
// kernel.
func Listen(c Config) (*Group, error) { return listen(c, engine.Options{}) }

// ListenManaged is Listen for the server of this module. Other modules can't import package engine,
// and use Listen.
func ListenManaged(c Config, o engine.Options) (*Group, engine.Handle, error) {
	g, err := listen(c, o)
	if err != nil {
		return nil, nil, err
	}
	return g, handle{g}, nil
}

func listen(c Config, o engine.Options) (*Group, error) {
	c, err := c.Complete()
	if err != nil {
		return nil, err
	}
	at, err := resolve(c.Address)
	if err != nil {
		return nil, err
	}
	var fds, surplus []int
	if o.Inherited == nil {
		fds, at, err = openSockets(c, at)
	} else {
		fds, surplus, at, err = duplicateInherited(c, o.Inherited.Sockets, at)
	}
	if err != nil {
		return nil, err
	}
	g, err := newGroup(c, o, at, fds, surplus)
	if err == nil && o.Inherited == nil {
		err = g.attacher.setSteering(c.Steering)
	} else if err == nil {
		err = g.attacher.deferSteering(c.Steering)
	}
	if err != nil {
		closeAll(fds)
		closeAll(surplus)
		return nil, err
	}
	g.startThreads()
	return g, nil
}

// newGroup lays out a group with sockets at an address. After an error the caller closes the
// sockets.
func newGroup(c Config, o engine.Options, at address, fds, surplus []int) (*Group, error) {
	if o.Counters == nil {
		o.Counters = func(shard, cpu int) (*metrics.Shard, error) { return metrics.NewShard(shard, cpu), nil }
	}
	if o.Changes == nil {
		o.Changes = make([]atomic.Uint64, len(steer.Kinds))
	}
	if len(o.Changes) != len(steer.Kinds) {
		return nil, fmt.Errorf("%d counters for %d kinds of change", len(o.Changes), len(steer.Kinds))
	}
	policy, err := newAdmission(c.Policy, nil)
	if err != nil {
		return nil, err
	}
	g := &Group{
		config:        c,
		options:       o,
		address:       at,
		began:         time.Now(),
		surplus:       surplus,
		listener:      &metrics.Listener{Address: at.String(), ReceiveBuffer: askedBuffer(c)},
		quiesceCalled: make(chan struct{}, 1),
		reading:       make(chan struct{}),
		runState:      newRunState(),
	}
	g.attacher = newAttacher(g)
	if !at.Addr().IsUnspecified() {
		g.bound = at.Addr()
	}
	g.admission.Store(policy)
	return g, g.addShards(fds)
}

// addShards lays out the shards. AdoptSockets opens the sockets of shards without one in fds.
func (g *Group) addShards(fds []int) (err error) {
	if g.granted, err = sys.ReceiveBuffer(fds[0]); err != nil {
		return err
	}
	for i := range g.config.Shards {
		fd := -1
		if i < len(fds) {
			fd = fds[i]
		}
		s, err := newShard(g, i, fd)
		if err != nil {
			return err
		}
		g.shards = append(g.shards, s)
		g.listener.Shards = append(g.listener.Shards, s.counters)
	}
	return nil
}

// startThreads starts the shards' threads, which wait for Run.
func (g *Group) startThreads() {
	countGroup(g.address.AddrPort, 1)
	reserveProcs(len(g.shards))
	for _, s := range g.shards {
		go s.thread()
	}
}

// Close closes the sockets of a group that was never run. Run closes its sockets itself.
func (g *Group) Close() { g.closing.Do(g.close) }

func (g *Group) close() {
	g.attacher.close()
	for _, s := range g.shards {
		s.endThread()
	}
	deadline := time.Now().Add(parkInterval)
	for _, s := range g.shards {
		s.awaitEnd(deadline)
		s.counters.Detach()
		s.runDelay.Close()
		unix.Close(s.fd)
	}
	releaseProcs(len(g.shards))
	closeAll(g.surplus)
	countGroup(g.address.AddrPort, -1)
}

// Addr returns the address of the sockets, with the port that the kernel chose for port 0. The
// address of a dual-stack group is [::].
func (g *Group) Addr() netip.AddrPort { return g.address.AddrPort }

// Listener returns the group's part of the ledger. The caller sets the name and the protocol.
func (g *Group) Listener() *metrics.Listener { return g.listener }

// ReceiveBuffer returns the requested and the granted SO_RCVBUF of a socket, in bytes. Without
// CAP_NET_ADMIN the kernel grants at most net.core.rmem_max (socket(7)).
func (g *Group) ReceiveBuffer() (asked, granted int) {
	return askedBuffer(g.config), g.granted
}

// askedBuffer returns the SO_RCVBUF that a socket asks for, in bytes.
func askedBuffer(c Config) int { return min(c.ReceiveBuffer, maxReceiveBuffer-1) }

// SetSteering replaces the steering. The sockets stay open and no datagram is lost, but in another
// mode flows go to other shards. After an error, a *ConfigError or the kernel's, the previous
// steering stays.
func (g *Group) SetSteering(s Steering) error { return g.attacher.setSteering(s) }
