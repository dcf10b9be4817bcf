// Package loadgen generates numbered datagrams, and checks which of them arrived.
//
// A flow is a connected UDP socket with a source port of its own. The datagrams of a flow are
// numbered from 0 and carry a token in their text, run=K flow=3 n=17, which a Checker finds in
// whatever a receiver writes: JSON records, raw records, lines of plain text. Flows send in turn,
// with sendmmsg (golang.org/x/net WriteBatch), from memory that is allocated before the first send.
//
// To keep a rate, a sender releases due datagrams about once a millisecond, and sleeps in between.
// A late sender makes up for at most 50 ms, and reports the rest as missed: an unlimited burst
// would measure the sender itself.
package loadgen

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/sys"
)

// Config is what Run sends, and where to. All fields but To may be zero.
type Config struct {
	// To is host:port. A host name stands for its first IPv4 address, or else its first IPv6
	// address.
	To string
	// Flows is the number of sockets, each with its own source port; 0 is 16.
	Flows int
	// Rate is in datagrams a second over all flows; 0 is flat out.
	Rate float64
	// Duration ends the run; 0 is never.
	Duration time.Duration
	// Count ends the run after so many datagrams, failed sends included; 0 is never.
	Count uint64
	// Size is the payload of each datagram in bytes; 0 is the length of the text.
	Size int
	// Lines are templates, used in turn, with {flow}, {seq}, {time} and {run} for the flow's
	// number, the datagram's number, the time and the run. No Lines: an RFC 5424 line with the
	// token.
	Lines []string
	// Run names the run in each token; "" takes a random name.
	Run string
	// GSO is the number of segments in a GSO batch, which the kernel takes in one piece and splits
	// into datagrams (UDP_SEGMENT, udp(7)); 0 and 1 send datagrams one by one.
	GSO int
	// Heavy is the share of all datagrams that flow 0 sends, 0 to 1; 0 is an even share.
	Heavy float64
	// Batch is the number of datagrams, or GSO batches, in a send call; 0 is 64.
	Batch int
	// Threads is the number of senders, at most one per usable CPU; 0 is 1.
	Threads int
	// CPUs are the CPUs that senders are pinned to in turn; empty: not pinned.
	CPUs []int
}

// ConfigError: a field of Config is not valid.
type ConfigError struct {
	Field string // of Config
	Err   error
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

const (
	maxFlows   = 20_000 // ephemeral ports are 28,232 by default (net.ipv4.ip_local_port_range)
	maxBatch   = 1024   // UIO_MAXIOV: the limit of sendmmsg(2)
	maxPayload = 65_507 // 65,535 bytes of an IPv4 packet without its headers (RFC 768)
	// maxSegments is UDP_MAX_SEGMENTS, include/linux/udp.h since Linux 6.9. Before, the limit is 64,
	// and a larger GSO batch fails with EINVAL.
	maxSegments = 128
	maxRate     = 100_000_000 // far beyond one host; exact products of the pacer in a float64
)

func (c Config) complete() (Config, netip.AddrPort, error) {
	setDefault(&c.Flows, 16)
	setDefault(&c.Batch, 64)
	setDefault(&c.Threads, 1)
	setDefault(&c.GSO, 1)
	usable, err := sys.UsableCPUs()
	if err != nil {
		return c, netip.AddrPort{}, err
	}
	for _, limit := range []struct {
		field            string
		value, low, high int
	}{
		{"Flows", c.Flows, 1, maxFlows},
		{"Batch", c.Batch, 1, maxBatch},
		{"GSO", c.GSO, 1, maxSegments},
		{"Size", c.Size, 0, maxPayload},
		{"Threads", c.Threads, 1, len(usable)},
	} {
		if limit.value < limit.low || limit.value > limit.high {
			return c, netip.AddrPort{}, &ConfigError{limit.field, fmt.Errorf("%d is not in %d to %d", limit.value, limit.low, limit.high)}
		}
	}
	switch {
	case c.Rate < 0 || c.Rate > maxRate || c.Rate != c.Rate:
		err = &ConfigError{"Rate", fmt.Errorf("%g is not in 0 to %d", c.Rate, maxRate)}
	case c.Heavy < 0 || c.Heavy > 1 || c.Heavy != c.Heavy:
		err = &ConfigError{"Heavy", fmt.Errorf("%g is not in 0 to 1", c.Heavy)}
	case c.Duration < 0:
		err = &ConfigError{"Duration", fmt.Errorf("%s is negative", c.Duration)}
	case c.Heavy > 0 && c.Rate == 0 && c.Threads > 1:
		err = &ConfigError{"Heavy", fmt.Errorf("several threads can keep a share only at a rate")}
	default:
		if cpuErr := usable.Check(c.CPUs); cpuErr != nil {
			err = &ConfigError{"CPUs", cpuErr}
		}
	}
	if err != nil {
		return c, netip.AddrPort{}, err
	}
	c.Threads = min(c.Threads, c.Flows)
	if c.Run == "" {
		c.Run = newRun()
	}
	to, err := resolve(c.To)
	return c, to, err
}

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// resolve returns the address to send to.
func resolve(text string) (netip.AddrPort, error) {
	to, err := hostport.ParseRemote("udp", text)
	if err != nil {
		return netip.AddrPort{}, &ConfigError{"To", err}
	}
	at, err := to.Resolve()
	if err != nil {
		return netip.AddrPort{}, &ConfigError{"To", err}
	}
	if at.Port() == 0 || at.Addr().IsUnspecified() {
		return at, &ConfigError{"To", fmt.Errorf("%s is no address to send to", at)}
	}
	return at, nil
}

// Check returns the *ConfigError that Run would return, and opens nothing. Without an error, Check
// returns where datagrams will go, and whether every datagram will carry the token for a Checker.
func (c Config) Check() (to netip.AddrPort, numbered bool, err error) {
	c, to, err = c.complete()
	if err != nil {
		return to, false, err
	}
	text, err := newText(c)
	if err != nil {
		return to, false, err
	}
	return to, text.Numbered, nil
}
