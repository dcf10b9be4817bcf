package config

import (
	"net/netip"
	"strings"

	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/packet/syslog"
	"github.com/udpshard/udpshard/shard"
)

// Engine is the listener as the engine wants it, without its outputs.
func (l *Listener) Engine() shard.Config {
	return shard.Config{
		Address:       l.endpoint(),
		Shards:        l.Shards,
		CPUs:          l.CPUs,
		Batch:         l.Batch,
		MaxDatagram:   l.MaxDatagram,
		ReceiveBuffer: l.ReceiveBuffer,
		GRO:           l.GRO,
		BusyPoll:      l.busyPoll,
		Join:          l.Join,
		OneWay:        l.Protocol != "echo" && l.Protocol != "dns",
		OwnPort:       l.Protocol == "dns", // its answers are no questions
		ReplySize:     l.replySize(),
		OneOutput:     !strings.Contains(l.Output, output.PerShard),
		Steering:      l.Steering(),
		Policy:        l.Policy(),
		Handler:       l.handler(),
	}
}

// Steering is the engine's, where 0 stands for its defaults.
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

func (l *Listener) replySize() int {
	if l.Protocol == "dns" {
		return dns.MaxUDPSize
	}
	return 0
}

// loopback is whom echo answers unless it is told: an open echo service is a
// reflector, since UDP sources can be forged (RFC 4732, 3.1).
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func (l *Listener) Policy() shard.Policy {
	allow := l.allow
	if allow == nil && l.Protocol == "echo" {
		allow = loopback
	}
	return shard.Policy{Allow: allow, RateLimit: l.rateLimit,
		RateLimitPrefix4: l.ratePrefix4, RateLimitPrefix6: l.ratePrefix6}
}

func (l *Listener) handler() func(int) packet.Handler {
	return func(shard int) packet.Handler {
		switch l.Protocol {
		case "syslog":
			return syslog.NewHandler(l.Name, shard)
		case "raw":
			return packet.NewRaw(l.Name, shard)
		case "echo":
			return packet.Echo{}
		}
		return packet.Discard{}
	}
}
