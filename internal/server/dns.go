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

// dnsService is what answers DNS for a listener, over UDP by its group, and
// over TCP at the same address.
type dnsService struct {
	*dns.Server
	listener *config.Listener
	group    group
	socket   *net.TCPListener // that listens, from listenStreams on
	streams  atomic.Pointer[dnstcp.Server]
	stop     chan struct{}
	ended    sync.Once

	mu      sync.Mutex
	sink    packet.Sink // of what came over TCP; nil: no records
	page    *metrics.Shard
	records uint64 // that were committed to it
}

// maxLoggedZones is how many zones are told of one by one.
const maxLoggedZones = 20

// logZones logs what is answered from.
func (s *server) logZones(d *dnsService) {
	zones, records := d.Zones().List(), 0
	for _, z := range zones {
		records += z.Records
		if len(zones) <= maxLoggedZones {
			s.log.Info().Str("listener", d.listener.Name).Str("zone", z.Origin).Uint32("serial", z.Serial).Int("records", z.Records).Str("file", z.File).Msg("zone in force")
		}
	}
	if len(zones) > maxLoggedZones {
		s.log.Info().Str("listener", d.listener.Name).Int("zones", len(zones)).Int("records", records).Msg("zones in force")
	}
}

// newDNS makes the service of a listener, if it is one of DNS.
func (s *server) newDNS(l *config.Listener) (*dnsService, error) {
	if l.Protocol != "dns" {
		return nil, nil
	}
	zones, err := preflight.LoadListenerZones(l)
	switch had := s.dns.zones[l.Name]; {
	case err == nil:
		s.dns.zones[l.Name] = zones
	case had != nil:
		s.log.Error().Err(err).Str("listener", l.Name).Str("effect", "the old zones stay in force").Msg("zone reload failed")
		zones = had
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
	d := &dnsService{Server: dns.NewServer(zones, o), listener: l, stop: make(chan struct{})}
	return d, nil
}

// dnsCounters returns where a listener of DNS counts: in memory that outlives the
// process, if there is one.
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

// dnsState is what listeners of DNS have in common.
type dnsState struct {
	zones  map[string]*dns.Zones // by names of listeners; read in an earlier attempt to start
	secret dns.Secret            // of cookies
}

// dnsServices returns the services of the listeners of DNS.
func (s *server) dnsServices() (all []*dnsService) {
	for _, l := range s.listeners {
		if l.dns != nil {
			all = append(all, l.dns)
		}
	}
	return all
}

// notes is what a process tells the next one beside its sockets: with the
// secret, cookies that clients have stay good.
type notes struct {
	CookieSecret string `json:"dns_cookie_secret,omitempty"`
}

func (s *server) notes() (json.RawMessage, error) {
	if len(s.dnsServices()) == 0 {
		return nil, nil
	}
	return json.Marshal(notes{CookieSecret: hex.EncodeToString(s.dns.secret[:])})
}

// applyNotes takes over what the process before has told. Another version may say
// other things, and then this one begins anew.
func (s *server) applyNotes(told json.RawMessage) {
	var n notes
	if json.Unmarshal(told, &n) != nil {
		return
	}
	if secret, err := dns.ParseSecret(n.CookieSecret); err == nil {
		s.dns.secret = secret
	}
}
