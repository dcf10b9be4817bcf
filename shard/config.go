// Package shard is the engine: one UDP socket, one OS thread and one core to
// each shard, and nothing between them.
//
// A Group opens its sockets on one address with SO_REUSEPORT, so the kernel
// spreads senders over them: by a hash, so that the datagrams of one flow stay
// on one socket, in order, or as a program says that the group gives it
// (package steer). The group watches how its shards do, and corrects what is
// uneven or stuck. Each socket belongs to one goroutine that
// is locked to its thread for good (runtime.LockOSThread), and the thread is
// pinned to a core (sched_setaffinity). There it reads batches with recvmmsg
// into memory that was laid out before the loop began, drops what the group's
// Policy forbids, hands the rest to the shard's own packet.Handler, sends the
// replies that it queued with one sendmmsg, and counts all of it on the
// shard's own cache lines (package metrics). When its records' output falls
// behind, the thread waits, and the kernel's receive queue is the buffer; what
// that drops is counted too.
//
// Broadcasts and multicasts, of which the kernel gives every socket a copy,
// are the first shard's.
//
// Shards share the policy, which they only read, and its rate limits.
package shard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// Config says what a Group listens on and what it does with datagrams. The
// zero Config listens on all addresses at a free port, with one shard for
// each usable CPU, and discards everything.
type Config struct {
	// Address is host:port. Without a host the sockets are dual stack, where
	// the host has IPv6; "[::]" is IPv6 alone. Port 0 takes a free one.
	Address string
	// Shards is the number of sockets and threads, up to 4096; 0 is one for
	// each CPU in CPUs.
	Shards int
	// CPUs are the cores that shards are pinned to in turn, wrapping round;
	// nil is every one that the process may use.
	CPUs []int
	// Batch is the number of datagrams to a receive call, 1 to 1024 (UIO_MAXIOV,
	// where recvmmsg stops counting); 0 is 64.
	Batch int
	// MaxDatagram is the number of bytes kept of each, up to 65535; 0 is 8192.
	// A shard's slab takes Batch times as much.
	MaxDatagram int
	// ReceiveBuffer is what each socket asks for, in bytes of SO_RCVBUF, up
	// to 1 GiB; 0 is 32 MiB. Group.ReceiveBuffer tells what was granted.
	ReceiveBuffer int
	// Join shares the port with sockets of other processes of this user.
	// Without it a port that has a UDP socket is an *InUseError.
	Join bool
	// OneWay says that handlers neither reply nor read Datagram.Destination.
	// Then datagrams may gather for up to 2 ms before they are read,
	// where the receive buffer holds them.
	OneWay bool
	// ReplySize is how many bytes packet.Batch.ReplyBuffer has for the answer to
	// each datagram of a batch, up to 65535; 0 is none.
	ReplySize int
	// OwnPort answers senders from the very port that the group listens on too.
	// Otherwise they are not: they are such a service themselves, or forged, and
	// answers could go round for ever. It is for protocols in which an answer
	// is never answered.
	OwnPort bool
	// GRO receives trains of datagrams of one size and sender in one copy
	// (UDP_GRO, udp(7), Linux 5.0); the handler sees them one by one. It
	// pays where they come in trains: from senders that use UDP_SEGMENT, and
	// from network cards that put them together. The slab then takes 64 KiB
	// times Batch, and the kernel counts a train that it drops as one.
	GRO bool
	// BusyPoll is how long a shard asks its socket again and again after the
	// last datagram, before it waits to be woken, up to a minute. That spares
	// the next datagram a wake-up's delay, some 50 µs in virtual machines, and takes
	// up to the whole core meanwhile. Datagrams do not gather then. 0 is never.
	BusyPoll time.Duration
	// Steering says which shard gets which datagram, until SetSteering changes
	// it.
	Steering Steering
	// OneOutput says that the sinks of all shards lead to one output: where
	// that is slow, no shard is better than another.
	OneOutput bool
	// Policy says whom to listen to, until SetPolicy changes it.
	Policy Policy
	// Handler makes the handler of each shard; nil, as a nil Handler, discards.
	Handler func(shard int) packet.Handler
	// Sink opens the sink of each shard's records, which counts Delivered or
	// OutputLost on page as it gets rid of them, and alone adds to these; nil
	// drops records as delivered.
	Sink func(shard int, page *metrics.Shard) (packet.Sink, error)
}

// ConfigError is a Config that can't be used.
type ConfigError struct {
	Field string // of Config, as it is spelled there
	Err   error
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	maxShards        = 4096    // more CPUs than any host of today has; each is a thread and a slab
	maxBatch         = 1024    // UIO_MAXIOV: recvmmsg(2) caps vlen there
	maxDatagram      = 65535   // no UDP length field says more (RFC 768)
	maxReceiveBuffer = 1 << 30 // the kernel doubles it into an int32, and so takes a byte less (sk_setsockopt)

	maxBusyPoll = time.Minute // whoever is never idle need not be told how long

	defaultBatch         = 64
	defaultMaxDatagram   = 8192
	defaultReceiveBuffer = 32 << 20
)

// Complete returns c with defaults filled in, or the first *ConfigError.
func (c Config) Complete() (Config, error) {
	c, errs := c.complete()
	if len(errs) > 0 {
		return c, errs[0]
	}
	return c, nil
}

// complete is Complete with all errors: each field is judged on its own.
func (c Config) complete() (_ Config, errs []error) {
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{field, fmt.Errorf(format, args...)})
	}
	usable, err := sys.UsableCPUs()
	if err != nil {
		return c, []error{err}
	}
	if len(c.CPUs) == 0 {
		c.CPUs = usable
	}
	for _, cpu := range c.CPUs {
		if !slices.Contains(usable, cpu) {
			wrong("CPUs", "cpu %d is not among those that this process may use (%s)", cpu, usable)
			break
		}
	}
	if c.Shards == 0 {
		c.Shards = len(c.CPUs)
	}
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	if c.MaxDatagram == 0 {
		c.MaxDatagram = defaultMaxDatagram
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = defaultReceiveBuffer
	}
	for _, limit := range []struct {
		field     string
		value     int
		low, high int
	}{
		{"Shards", c.Shards, 1, maxShards},
		{"Batch", c.Batch, 1, maxBatch},
		{"MaxDatagram", c.MaxDatagram, 1, maxDatagram},
		{"ReceiveBuffer", c.ReceiveBuffer, 1, maxReceiveBuffer},
		{"ReplySize", c.ReplySize, 0, maxDatagram},
	} {
		if limit.value < limit.low || limit.value > limit.high {
			wrong(limit.field, "%d is not in %d to %d", limit.value, limit.low, limit.high)
		}
	}
	if c.BusyPoll < 0 || c.BusyPoll > maxBusyPoll {
		wrong("BusyPoll", "%s is not in 0s to %s", c.BusyPoll, maxBusyPoll)
	}
	if _, err := c.Steering.complete(c.Join); err != nil {
		errs = append(errs, err)
	}
	if c.Handler == nil {
		c.Handler = func(int) packet.Handler { return nil }
	}
	if c.Sink == nil {
		c.Sink = func(_ int, page *metrics.Shard) (packet.Sink, error) { return &noSink{page: page}, nil }
	}
	return c, errs
}

// cpu is the one that a shard is pinned to.
func (c *Config) cpu(shard int) int { return c.CPUs[shard%len(c.CPUs)] }

// slot is the part of a slab that one message may fill.
func (c *Config) slot() int {
	if c.GRO {
		return maxDatagram // no train is longer
	}
	return c.MaxDatagram
}

// Check returns every *ConfigError of c, joined (errors.Join), and opens nothing: Listen would
// return the first of them.
func (c Config) Check() error {
	_, errs := c.complete()
	_, gateErr := newGate(c.Policy, nil)
	_, addressErr := resolve(c.Address)
	return errors.Join(append(errs, gateErr, addressErr)...)
}

// noSink takes records nowhere: they are delivered when they are committed.
type noSink struct {
	page *metrics.Shard
	buf  []byte
}

func (s *noSink) Buffer() []byte { return s.buf }
func (s *noSink) Flush()         {}
func (s *noSink) Commit(buf []byte) {
	s.buf = buf[:0]
	s.page.Delivered.Add(1)
}

// discard is the handler where none is given.
var discard = packet.HandlerFunc(func(*packet.Batch) {})

// address is a resolved Config.Address.
type address struct {
	netip.AddrPort
	dual bool // no host given: IPv6 and IPv4
}

// String is what the address is called in logs, the status and errors.
func (a address) String() string {
	if a.dual {
		return fmt.Sprintf(":%d", a.Port())
	}
	return a.AddrPort.String()
}
