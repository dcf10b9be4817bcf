package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/shard"
)

// Adopt implements succession.Server.
func (s *server) Adopt(from *succession.Predecessor) error {
	from.Inherit(s.succession.Counters(), func() map[string]string { return s.listenerNames(from) })
	err := engine.Adopt(s.listeners)
	if s.service.owns && errors.As(err, new(*shard.InUseError)) {
		err = cli.WithHint(err, "the sockets of a .socket unit belong to the user of the service "+
			"manager: give the unit one ListenDatagram= line for each shard")
	}
	return err
}

// listenerNames maps the names of the predecessor's listeners to names in this process. A listener
// that no listener continues keeps its name, or has the name "" if the name belongs to a listener
// that continues another.
func (s *server) listenerNames(from *succession.Predecessor) map[string]string {
	names, continues := make(map[string]string), make(map[string]bool)
	for _, l := range s.listeners {
		if l.continues == nil {
			continue
		}
		was, name := l.continues.Name, l.settings.Name
		names[was], continues[name] = name, true
		if was != name {
			s.log.Warn().Str("listener", name).Str("was", was).Str("address", l.settings.Address).
				Str("effect", "the counters continue under the new name").Msg("listener renamed")
		}
	}
	for _, offered := range from.Offer.Listeners {
		if _, ok := names[offered.Name]; !ok && continues[offered.Name] {
			names[offered.Name] = ""
		}
	}
	return names
}

// DrainSurplus implements succession.Server. The records go to the files to which the predecessor
// has written. At the end of ctx the drain timeout begins; after the timeout, records that the
// outputs have not accepted are lost.
func (s *server) DrainSurplus(ctx context.Context, from *succession.Predecessor) error {
	done := make(chan struct{})
	defer close(done)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(s.config.DrainTimeout):
			s.outputs.Abort()
		case <-done:
		}
	})()
	return engine.DrainSurplus(from.AddSurplusDrops, s.listeners)
}

// ReopenOutputs implements succession.Server.
func (s *server) ReopenOutputs() { s.outputs.Reopen(s.filesOpened) }
