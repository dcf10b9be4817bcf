package server

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/metrics/prom"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/shard"
)

// group is the shards of one listener.
type group struct {
	*shard.Group
	engine.Handle
}

// openListeners takes ports, outputs and the HTTP address, in this order: who finds
// the port taken should read that first.
func (s *server) openListeners(from *succession.Predecessor) error {
	if from != nil {
		s.applyNotes(from.Offer.Notes)
		s.logUnmatched(from)
	}
	if err := s.openCounters(); err != nil {
		return err
	}
	continues := matchListeners(from, s.config.Listeners)
	for _, l := range s.config.Listeners {
		opened := &listener{settings: l, continues: continues[l]}
		var err error
		if opened.dns, err = s.newDNS(l); err != nil {
			return err
		}
		c := l.Engine()
		if opened.dns != nil {
			c.Handler = opened.dns.Handler
		}
		var o engine.Options
		if had := opened.continues; had != nil {
			o.Inherited = &engine.Inherited{Sockets: groupMembers(had.Sockets), Seed: had.Seed}
		}
		if l.Join && s.config.Standby && from != nil && o.Inherited == nil {
			return preflight.JoinError(l)
		}
		if counters := s.succession.Counters(); counters != nil {
			o.Counters = func(shard, cpu int) (*metrics.Shard, error) { return counters.Shard(l.Name, shard, cpu) }
			o.Changes = counters.ListenerProtocolCounters(l.Name)[:len(steer.Kinds)]
		}
		c.Sink = func(shard int, page *metrics.Shard) (packet.Sink, error) {
			return openSink(l, s.outputs, shard, page)
		}
		o.Event = func(e engine.Event) { s.groupEvent(l.Name, e) }
		if opened.Group, opened.Handle, err = shard.ListenManaged(c, o); err != nil {
			return l.WithPosition(err)
		}
		s.listeners = append(s.listeners, opened)
		if opened.dns != nil {
			if err := s.openStreams(opened); err != nil {
				return err
			}
		}
		page := opened.Listener()
		page.Name, page.Protocol = l.Name, l.Protocol
		s.ledger.Add(page)
	}
	var err error
	s.web, err = listenHTTP(s.config, fencedHandler(prom.Handler(s.ledger, s.BuildLabels, dnsCollector{s}), s.succession.Fenced), s.log, s.httpListener(from, s.config.HTTPResolved))
	if errors.Is(err, unix.EADDRINUSE) && s.config.MayRunWithoutHTTP() {
		s.log.Warn().Err(err).Str("remedy", "give each process that shares a port its own --http ADDR").
			Str("effect", "this process has no status and no metrics").Msg("HTTP address in use")
		return nil
	}
	return err
}

// openCounters makes the counters' memory, where another process is to have it.
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
		layouts = append(layouts, metrics.Layout{Listener: l.Name, Shards: engine.Shards, Batch: engine.Batch, ProtocolCounters: protocolCounters(l)})
	}
	counters, err := metrics.NewSharedCounters(layouts...)
	if err != nil {
		return err
	}
	s.ledger.SetSharedCounters(counters)
	return s.succession.SetCounters(counters)
}

// tallies is how many numbers a listener counts beside the ledger: what steering
// has changed, and then what its protocol counts.
func protocolCounters(l *config.Listener) int {
	if l.Protocol == "dns" {
		return len(steer.Kinds) + dns.NumCounters
	}
	return len(steer.Kinds)
}

// maxRecord is the longest record of a datagram of size bytes: each of them
// escaped as \u00XX, and what surrounds them.
func maxRecord(size int) int { return 6*size + 4096 }

// openSink opens the output of a shard. With DNS the answer is the point, and
// records are dropped where it would have to wait for them.
func openSink(l *config.Listener, outputs *output.Set, shard int, page *metrics.Shard) (packet.Sink, error) {
	open := outputs.Open
	if l.Protocol == "dns" {
		open = outputs.OpenLossy
	}
	sink, err := open(l.Output, shard, page, maxRecord(l.MaxDatagram))
	if err != nil {
		return nil, preflight.OutputError(l, err)
	}
	return sink, nil
}

func (s *server) logListening(opened *listener) {
	l, g := opened.settings, opened.group
	var cpus []int
	for _, page := range g.Listener().Shards {
		cpus = append(cpus, page.CPU)
	}
	asked, granted := g.ReceiveBuffer()
	s.log.Info().Str("listener", l.Name).Str("address", g.Listener().Address).Str("protocol", l.Protocol).
		Int("shards", len(cpus)).Ints("cpus", cpus).Str("steer", g.Listener().Steering().Mode).Str("receive_buffer", cli.FormatSize(granted)).Str("output", l.Output).
		Msg("listening")
	if opened.dns != nil {
		s.logZones(opened.dns)
	}
	if l.GRO {
		s.log.Warn().Str("listener", l.Name).Str("effect", "the kernel counts a dropped GRO batch as one datagram").Msg("losses counted by GRO batches")
	}
	if l.Output == "stdout" && cli.IsNull(os.Stdout) {
		s.log.Warn().Str("listener", l.Name).Msg("standard output discards records")
	}
	if l.Steer == steer.Auto && !l.Join && g.Listener().Steering().Mode != string(steer.Auto) {
		s.log.Warn().Str("listener", l.Name).Str("remedy", "udpshard doctor").
			Str("effect", "the kernel's hash spreads datagrams; skew is not corrected").Msg("steering program refused by the kernel")
	}
	if granted < asked {
		s.log.Warn().Str("listener", l.Name).Str("asked", cli.FormatSize(asked)).Str("granted", cli.FormatSize(granted)).
			Str("remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", asked)).
			Str("effect", "bursts are dropped sooner").Msg("receive buffer smaller than asked")
	}
}
