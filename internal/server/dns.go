package server

import (
	"encoding/hex"
	"encoding/json"
	"net"
	"sync"
	"sync/atomic"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/dnstcp"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
)

// dnsService answers the DNS queries of a listener: over UDP in its group, and over TCP at the same
// address.
type dnsService struct {
	*dns.Server
	listener *config.Listener
	group    group
	socket   *net.TCPListener // nil until listenStreams
	streams  atomic.Pointer[dnstcp.Server]
	stop     chan struct{} // ends flushLoop

	mu       sync.Mutex
	sink     packet.Sink    // for records of queries over TCP; nil: no records
	counters *metrics.Shard // of sink
	records  uint64         // committed to sink
}

// maxLoggedZones is how many zones of a listener have log lines of their own.
const maxLoggedZones = 20

// logZones logs the zones in force.
func (s *server) logZones(d *dnsService) {
	log := s.log.With().Str("listener", d.listener.Name).Logger()
	zones, records := d.Zones().List(), 0
	for _, z := range zones {
		records += z.Records
		if len(zones) <= maxLoggedZones {
			log.Info().Str("zone", z.Origin).Uint32("serial", z.Serial).Int("records", z.Records).
				Str("file", z.File).Msg("zone in force")
		}
	}
	if len(zones) > maxLoggedZones {
		log.Info().Int("zones", len(zones)).Int("records", records).Msg("zones in force")
	}
}

// newDNS returns the service of a listener; nil if the protocol is not dns.
func (s *server) newDNS(l *config.Listener) (*dnsService, error) {
	if l.Protocol != "dns" {
		return nil, nil
	}
	zones, err := preflight.LoadListenerZones(l)
	switch previous := s.dns.zones[l.Name]; {
	case err == nil:
		s.dns.zones[l.Name] = zones
	case previous != nil:
		s.log.Error().Err(err).Str("listener", l.Name).
			Str("effect", "the old zones stay in force").Msg("zone reload failed")
		zones = previous
	default:
		return nil, err
	}
	o := dns.Options{Listener: l.Name, Records: l.Output != "discard", Counters: s.dnsCounters(l)}
	if l.RRL > 0 {
		limits := dns.DefaultRateLimits()
		limits.PerSecond, limits.Slip = l.RRL, l.RRLSlip
		if o.Limits, err = dns.NewRateLimiter(limits); err != nil {
			return nil, l.ErrorAt("rrl", err)
		}
	}
	if l.Cookies {
		o.Cookies = dns.NewCookies(s.dns.secret)
	}
	return &dnsService{Server: dns.NewServer(zones, o), listener: l, stop: make(chan struct{})}, nil
}

// dnsCounters returns the function for the DNS counters of each shard, and of the listener for
// shard
// -1, in the shared counters. Without shared counters the result is nil.
func (s *server) dnsCounters(l *config.Listener) func(shard int) []atomic.Uint64 {
	counters := s.succession.Counters()
	if counters == nil {
		return nil
	}
	return func(shard int) []atomic.Uint64 {
		if shard < 0 {
			return counters.ListenerProtocolCounters(l.Name)[len(steer.Kinds):]
		}
		return counters.ProtocolCounters(l.Name, shard)[len(steer.Kinds):]
	}
}

// dnsState is the common state of the DNS listeners.
type dnsState struct {
	zones  map[string]*dns.Zones // by names of listeners; also of earlier attempts to start
	secret dns.Secret            // of cookies
}

// dnsServices returns the services of the DNS listeners.
func (s *server) dnsServices() (all []*dnsService) {
	for _, l := range s.listeners {
		if l.dns != nil {
			all = append(all, l.dns)
		}
	}
	return all
}

// notes is the JSON in the offer to the next process. With the secret, cookies of clients stay
// valid.
type notes struct {
	CookieSecret string `json:"dns_cookie_secret,omitempty"`
}

func (s *server) notes() (json.RawMessage, error) {
	if len(s.dnsServices()) == 0 {
		return nil, nil
	}
	return json.Marshal(notes{CookieSecret: hex.EncodeToString(s.dns.secret[:])})
}

// applyNotes applies the notes of the predecessor, if this version understands them.
func (s *server) applyNotes(offered json.RawMessage) {
	var n notes
	if json.Unmarshal(offered, &n) != nil {
		return
	}
	if secret, err := dns.ParseSecret(n.CookieSecret); err == nil {
		s.dns.secret = secret
	}
}
