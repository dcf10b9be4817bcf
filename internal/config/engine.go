package config

import (
	"net/netip"
	"strings"

	"github.com/udpshard/udpshard/internal/hostport"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/packet/syslog"
	"github.com/udpshard/udpshard/shard"
)

// Engine returns the configuration of the engine for the listener, without outputs.
func (l *Listener) Engine() shard.Config {
	isDNS := l.Protocol == "dns"
	engine := shard.Config{
		Address:       l.endpoint(),
		Shards:        l.Shards,
		CPUs:          l.CPUs,
		Batch:         l.Batch,
		MaxDatagram:   l.MaxDatagram,
		ReceiveBuffer: l.ReceiveBuffer,
		GRO:           l.GRO,
		BusyPoll:      l.busyPoll,
		Join:          l.Join,
		OneWay:        l.Protocol != "echo" && !isDNS,
		OwnPort:       isDNS, // answers to its own port are no queries
		OneOutput:     !l.HasOutputPerShard(),
		Steering:      l.Steering(),
		Policy:        l.Policy(),
		Handler:       l.handler,
	}
	if isDNS {
		engine.ReplySize = dns.MaxUDPSize
	}
	return engine
}

// HasOutputPerShard reports whether each shard has an output of its own: a file, or a series of the
// spool.
func (l *Listener) HasOutputPerShard() bool {
	return len(l.To) > 0 || strings.Contains(l.Output, output.PerShard)
}

// Steering returns the steering of the engine, in which 0 means the default, and -1 means off.
func (l *Listener) Steering() shard.Steering {
	s := shard.Steering{Mode: l.Steer, StallAfter: l.stallAfter, SprayAbove: l.sprayAbove}
	if s.StallAfter == 0 {
		s.StallAfter = -1
	}
	if s.SprayAbove == 0 {
		s.SprayAbove = -1
	}
	return s
}

// loopback are the senders that echo answers by default: an open echo service is a reflector,
// since UDP sources can be forged (RFC 4732 3.1).
var loopback = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"),
}

// Policy returns the admission policy.
func (l *Listener) Policy() shard.Policy {
	allow := l.allow
	if allow == nil && l.Protocol == "echo" {
		allow = loopback
	}
	return shard.Policy{Allow: allow, RateLimit: l.rateLimit,
		RateLimitPrefix4: l.ratePrefix4, RateLimitPrefix6: l.ratePrefix6}
}

func (l *Listener) handler(shard int) packet.Handler {
	switch l.Protocol {
	case "syslog":
		return l.syslogHandler(shard)
	case "raw":
		return packet.NewRaw(l.Name, shard)
	case "echo":
		return packet.Echo{}
	}
	return packet.Discard{}
}

// syslogHandler returns the handler that writes records in the format of the listener.
func (l *Listener) syslogHandler(shard int) packet.Handler {
	switch l.Format {
	case ship.RFC5424:
		return new(syslog.RFC5424Handler)
	case ship.Original:
		return packet.Original{}
	}
	return syslog.NewHandler(l.Name, shard)
}

// endpoint is the address with the IP address of the host name, if the look-up was successful.
func (l *Listener) endpoint() string {
	if l.resolved != "" {
		return l.resolved
	}
	return l.Address
}

// Resolved returns the endpoint in a form for comparisons: [::]:5514 for :5514, and the zero
// AddrPort for an unknown host name.
func (l *Listener) Resolved() netip.AddrPort {
	at, _ := hostport.Parse("udp", l.endpoint())
	return at.AddrPort()
}

// DualStack reports whether the sockets are for IPv6 and IPv4: the address has no host.
func (l *Listener) DualStack() bool { return strings.HasPrefix(l.Address, ":") }

// ShardCPUs returns the CPU of each shard.
func (l *Listener) ShardCPUs() []int {
	engine, err := l.Engine().Complete()
	if err != nil { // the process has lost the use of a CPU
		engine = l.Engine()
	}
	cpus := make([]int, engine.Shards)
	for i := range cpus {
		if len(engine.CPUs) > 0 {
			cpus[i] = engine.CPUs[i%len(engine.CPUs)]
		}
	}
	return cpus
}
