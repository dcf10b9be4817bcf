package shard

import (
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
)

// Config is the configuration of a Group. The zero Config listens on all addresses at a free port,
// with one shard for each usable CPU, and discards all datagrams.
type Config struct {
	// Address is host:port. Without a host the sockets are dual stack, where the host has IPv6;
	// "[::]" is IPv6 alone. Port 0 is a free port.
	Address string
	// Shards is the number of sockets and threads, up to 4096; 0 is one shard for each of CPUs.
	Shards int
	// CPUs are the CPUs of the shards, in turn; nil is each CPU that the process may use.
	CPUs []int
	// Batch is the maximum of datagrams in a receive call, 1 to 1024 (UIO_MAXIOV, the maximum of
	// recvmmsg); 0 is 64.
	Batch int
	// MaxDatagram is how many bytes of a datagram are kept, up to 65535; 0 is 8192. The slab of a
	// shard has Batch times MaxDatagram bytes.
	MaxDatagram int
	// ReceiveBuffer is the requested SO_RCVBUF of each socket in bytes, up to 1 GiB; 0 is 32 MiB.
	// Group.ReceiveBuffer returns the granted size.
	ReceiveBuffer int
	// Join shares the port with sockets of other processes of this user. Without Join, a port with
	// a UDP socket is an *InUseError.
	Join bool
	// OneWay: handlers neither reply nor read Datagram.Destination. Under load, datagrams may then
	// wait in the receive queue for up to 2 ms before they are read, where the receive buffer is
	// large enough.
	OneWay bool
	// ReplySize is the size of packet.Batch.ReplyBuffer for each datagram, in bytes up to 65535.
	ReplySize int
	// OwnPort answers senders whose port is the port of the group. Such a sender is a service of
	// the same kind, or forged, and answers could circulate for ever: OwnPort is for protocols in
	// which an answer is never answered.
	OwnPort bool
	// GRO receives several datagrams of one sender and size in one copy (UDP_GRO, udp(7), Linux
	// 5.0). The handler gets single datagrams. GRO pays where datagrams come as GRO batches: from
	// senders with UDP_SEGMENT, and from network cards that merge datagrams. The slab then has
	// Batch times 64 KiB, and the kernel counts a dropped GRO batch as one drop.
	GRO bool
	// BusyPoll is how long after a datagram a shard polls its socket before the shard waits, up to
	// a minute. The next datagram is then read without the delay of a wake-up, some 50 µs in
	// virtual machines. Polling takes up to the whole core.
	BusyPoll time.Duration
	// Steering chooses the shard of each datagram, until SetSteering.
	Steering Steering
	// OneOutput: the sinks of all shards lead to one output. Where the output is slow, steering
	// does not prefer other shards.
	OneOutput bool
	// Policy is the admission policy, until SetPolicy.
	Policy Policy
	// Handler returns the handler of each shard. A nil func and a nil handler discard datagrams.
	Handler func(shard int) packet.Handler
	// Sink opens the sink for the records of each shard. The sink adds to Delivered or OutputLost
	// of counters for each record, and no other code does. Nil counts records as delivered, and
	// discards them.
	Sink func(shard int, counters *metrics.Shard) (packet.Sink, error)
}

// ConfigError is an error in a field of Config.
type ConfigError struct {
	Field string // name of the field, with dots for nested fields
	Err   error
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	maxShards   = 4096  // above the CPUs of today's hosts: a shard costs a thread and a slab
	maxBatch    = 1024  // UIO_MAXIOV, the maximum of recvmmsg(2)
	maxDatagram = 65535 // the UDP length field has 16 bits (RFC 768)
	maxBusyPoll = time.Minute

	// The kernel doubles the size in an int32: the largest size is maxReceiveBuffer-1
	// (sk_setsockopt).
	maxReceiveBuffer = 1 << 30

	defaultBatch         = 64
	defaultMaxDatagram   = 8192
	defaultReceiveBuffer = 32 << 20
)

// Check returns each *ConfigError of c, joined (errors.Join), and opens nothing. Listen would
// return the first of them.
func (c Config) Check() error {
	_, errs := c.complete()
	_, policyErr := newAdmission(c.Policy, nil)
	_, addressErr := resolve(c.Address)
	return errors.Join(append(errs, policyErr, addressErr)...)
}

// Complete returns c with defaults, or the first *ConfigError.
func (c Config) Complete() (Config, error) {
	c, errs := c.complete()
	if len(errs) > 0 {
		return c, errs[0]
	}
	return c, nil
}

// complete is Complete with all errors.
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
	if err := usable.Check(c.CPUs); err != nil {
		wrong("CPUs", "%w", err)
	}
	for _, field := range []struct {
		name             string
		value            *int
		initial          int
		minimum, maximum int
	}{
		{"Shards", &c.Shards, len(c.CPUs), 1, maxShards},
		{"Batch", &c.Batch, defaultBatch, 1, maxBatch},
		{"MaxDatagram", &c.MaxDatagram, defaultMaxDatagram, 1, maxDatagram},
		{"ReceiveBuffer", &c.ReceiveBuffer, defaultReceiveBuffer, 1, maxReceiveBuffer},
		{"ReplySize", &c.ReplySize, 0, 0, maxDatagram},
	} {
		if *field.value == 0 {
			*field.value = field.initial
		}
		if *field.value < field.minimum || *field.value > field.maximum {
			wrong(field.name, "%d is not in %d to %d", *field.value, field.minimum, field.maximum)
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
		c.Sink = func(_ int, counters *metrics.Shard) (packet.Sink, error) {
			return &discardSink{counters: counters}, nil
		}
	}
	return c, errs
}

// cpu returns the CPU of a shard.
func (c *Config) cpu(shard int) int { return c.CPUs[shard%len(c.CPUs)] }

// slot returns the size of a message's part of the slab.
func (c *Config) slot() int {
	if c.GRO {
		return maxDatagram // of a GRO batch
	}
	return c.MaxDatagram
}

// discardSink counts records as delivered, and discards them.
type discardSink struct {
	counters *metrics.Shard
	buf      []byte
}

func (s *discardSink) Buffer() []byte { return s.buf }
func (s *discardSink) Flush()         {}
func (s *discardSink) Commit(buf []byte) {
	s.buf = buf[:0]
	s.counters.Delivered.Add(1)
}

// discardHandler is the handler for a nil handler.
var discardHandler = packet.HandlerFunc(func(*packet.Batch) {})
