package server

import (
	"encoding/json"
	"os"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/shard"
)

// group is the shards of one listener.
type group struct {
	*shard.Group
	engine.Handle
}

// openListeners opens ports, outputs and the HTTP address, in this order: a port in use is the
// first error to report.
func (s *server) openListeners(from *succession.Predecessor) error {
	var continues map[*config.Listener]*handoff.Listener
	var offered json.RawMessage
	if from != nil {
		continues = matchListeners(from.Offer.Listeners, s.config.Listeners)
		offered = from.Offer.Notes
		s.logUnmatched(from, continues)
	}
	s.applyNotes(offered)
	if err := s.openCounters(); err != nil {
		return err
	}
	if err := s.openSpool(from); err != nil {
		return err
	}
	for _, l := range s.config.Listeners {
		if l.Join && s.config.Standby && from != nil && continues[l] == nil {
			return preflight.JoinError(l)
		}
		if err := s.openListener(l, continues[l]); err != nil {
			return err
		}
	}
	return s.openHTTP(from)
}

// openListener opens the sockets and the outputs of a listener, or inherits the sockets.
func (s *server) openListener(l *config.Listener, continues *handoff.Listener) (err error) {
	opened := &listener{settings: l, continues: continues}
	if opened.dns, err = s.newDNS(l); err != nil {
		return err
	}
	c := l.Engine()
	c.Sink = func(shard int, counters *metrics.Shard) (packet.Sink, error) {
		return s.outputs.openSink(l, shard, counters)
	}
	if opened.dns != nil {
		c.Handler = opened.dns.Handler
	}
	o := engine.Options{Event: func(e engine.Event) { s.logGroupEvent(l.Name, e) }}
	if continues != nil {
		sockets := groupMembers(continues.Sockets)
		o.Inherited = &engine.Inherited{Sockets: sockets, Seed: continues.Seed}
	}
	if counters := s.succession.Counters(); counters != nil {
		o.Counters = func(shard, cpu int) (*metrics.Shard, error) {
			return counters.Shard(l.Name, shard, cpu)
		}
		o.Changes = counters.ListenerProtocolCounters(l.Name)[:len(steer.Kinds)]
	}
	if opened.Group, opened.Handle, err = shard.ListenManaged(c, o); err != nil {
		return l.WithPosition(err)
	}
	s.listeners = append(s.listeners, opened)
	if opened.dns != nil {
		if err := s.openStreams(opened); err != nil {
			return err
		}
	}
	account := opened.Listener()
	account.Name, account.Protocol = l.Name, l.Protocol
	account.Outputs = s.outputs.targetLedgers(l)
	if opened.dns != nil {
		account.FailedZones = opened.dns.FailedZones
	}
	s.ledger.Add(account)
	return nil
}

// groupMembers returns the sockets that are members of their SO_REUSEPORT group. An ended process
// with fewer shards may have detached the last sockets. An unusable first socket stays: the group
// returns the error.
func groupMembers(sockets []*os.File) []*os.File {
	for i, file := range sockets {
		if _, err := engine.SocketAddress(file); err != nil && i > 0 {
			return sockets[:i]
		}
	}
	return sockets
}

// openCounters opens counters in memory that outlives this process, if a peer or the service
// manager may get the memory.
func (s *server) openCounters() (err error) {
	if s.config.Takeover == "" && !s.service.unit.Managed() {
		return nil
	}
	var layouts []metrics.Layout
	for _, l := range s.config.Listeners {
		engine, err := l.Engine().Complete()
		if err != nil {
			return l.WithPosition(err)
		}
		layouts = append(layouts, metrics.Layout{Listener: l.Name, Shards: engine.Shards,
			Batch: engine.Batch, ProtocolCounters: protocolCounters(l)})
	}
	counters, err := metrics.NewSharedCounters(layouts...)
	if err != nil {
		return err
	}
	s.ledger.SetSharedCounters(counters)
	return s.succession.SetCounters(counters)
}

// protocolCounters returns the number of a listener's counters beside the ledger: changes of
// steering, and then the counters of the protocol.
func protocolCounters(l *config.Listener) int {
	if l.Protocol == "dns" {
		return len(steer.Kinds) + dns.NumCounters
	}
	return len(steer.Kinds)
}
