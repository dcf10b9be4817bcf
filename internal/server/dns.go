package server

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/dnsservice"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

// dnsState is the common state of the DNS listeners.
type dnsState struct {
	zones   map[string]*dns.Zones // in force, or read by earlier attempts to start; by names of listeners
	secrets *dnsservice.CookieSecrets
}

// dnsServices returns the services of the DNS listeners.
func (s *server) dnsServices() (all []*dnsservice.Service) {
	for _, l := range s.listeners {
		if l.dns != nil {
			all = append(all, l.dns)
		}
	}
	return all
}

// newDNS returns the service of a listener; nil if the protocol is not dns.
func (s *server) newDNS(l *config.Listener) (*dnsservice.Service, error) {
	if l.Protocol != "dns" {
		return nil, nil
	}
	previous := s.dns.zones[l.Name]
	zones, err := preflight.LoadListenerZones(l, previous)
	switch {
	case err == nil:
		s.dns.zones[l.Name] = zones
	case previous != nil:
		s.log.Error().Err(err).Str("listener", l.Name).
			Str("effect", "the old zones stay in force").Msg("zone reload failed")
		zones = previous
	default:
		return nil, err
	}
	o := dns.Options{Listener: l.Name, Records: l.Output != "discard",
		Format: recordFormat(l), RecordAnswers: l.RecordAnswers, Version: "udpshard " + s.Version,
		Counters: s.dnsCounters(l), NSID: l.NSID}
	if l.Format == ship.Dnstap {
		if o.Identity, err = os.Hostname(); err != nil {
			return nil, err
		}
	}
	limits := dns.DefaultRateLimits()
	limits.PerSecond, limits.AllPerSecond, limits.Slip = l.RRL, l.RRLAll, l.RRLSlip
	limits.Exempt = append(limits.Exempt, l.RRLExempt...)
	if o.Limits, err = dns.NewRateLimiter(limits); err != nil {
		return nil, l.ErrorAt("rrl", err)
	}
	if l.Cookies {
		o.Cookies = s.dns.secrets.Keys
	}
	service := dnsservice.New(zones, o)
	if previous != nil {
		service.LogFailedZones(s.log.With().Str("listener", l.Name).Logger())
	}
	return service, nil
}

// recordFormat returns the format of a DNS listener's records. In a spool records are lines.
func recordFormat(l *config.Listener) dns.RecordFormat {
	switch {
	case l.Format != ship.Dnstap:
		return dns.RecordJSON
	case len(l.To) > 0:
		return dns.RecordBase64
	}
	return dns.RecordDnstap
}

// dnsCounters returns the DNS counters in the shared counters, as a function of the shard: -1 means
// the listener. The result is nil without shared counters.
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

// openStreams opens the output for queries over TCP. openStreams comes after the outputs of the
// shards, because the first shard that opens a file has the write log of the file in its counters.
func (s *server) openStreams(opened *listener) error {
	if opened.settings.Output == "discard" {
		return nil
	}
	counters := metrics.NewShard(0, 0)
	sink, err := s.outputs.openSink(opened.settings, 0, counters)
	if err == nil {
		opened.dns.SetSink(sink, counters)
	}
	return err
}

// listenStreams opens the TCP sockets of the DNS listeners, or continues with the sockets of the
// predecessor, in whose queue clients wait. listenStreams comes when this process is active.
func (s *server) listenStreams() error {
	var errs []error
	for _, l := range s.listeners {
		if l.dns == nil {
			continue
		}
		socket := s.inheritedStream(l.continues)
		if socket == nil {
			var err error
			if socket, err = dnsservice.Listen(l.Listener().Address); err != nil {
				errs = append(errs, preflight.TCPError(l.settings, err))
				continue
			}
		}
		if err := l.dns.Start(socket, l.Accepts); err != nil {
			errs = append(errs, err)
		}
	}
	return cli.Join(errs...)
}

// inheritedStream returns the listening TCP socket of a predecessor's listener, if usable.
func (s *server) inheritedStream(from *handoff.Listener) *net.TCPListener {
	if from == nil {
		return nil
	}
	socket, err := dnsservice.Inherit(from.Stream)
	if err != nil {
		s.log.Warn().Err(err).Str("listener", from.Name).Str("effect", "a new socket is opened").
			Msg("inherited TCP socket unusable")
	}
	return socket
}

// closeDNS ends serving over TCP. At the end of late, unwritten records are lost.
func (s *server) closeDNS(late context.Context) {
	defer context.AfterFunc(late, s.outputs.Abort)()
	for _, d := range s.dnsServices() {
		d.Close()
	}
}

// notes is the JSON in the offer to the next process. With the secrets, cookies of clients
// stay valid.
type notes struct {
	CookieSecrets *dnsservice.SecretState `json:"dns_cookie_secrets,omitempty"`
	SpoolToken    string                  `json:"spool_token,omitempty"` // of spool.Acquire
}

func (s *server) notes() (json.RawMessage, error) {
	n := notes{SpoolToken: s.outputs.token}
	if len(s.dnsServices()) > 0 {
		n.CookieSecrets = s.dns.secrets.State()
	}
	if n == (notes{}) {
		return nil, nil
	}
	return json.Marshal(n)
}

// applyNotes applies the notes of the predecessor, nil without, if this version understands them.
func (s *server) applyNotes(offered json.RawMessage) {
	var n notes
	if json.Unmarshal(offered, &n) != nil {
		n = notes{}
	}
	s.outputs.token = n.SpoolToken
	s.dns.secrets.Load(n.CookieSecrets, time.Now(), s.log)
}
