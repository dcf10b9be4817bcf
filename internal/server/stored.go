package server

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/sys"
	"github.com/udpshard/udpshard/metrics"
)

// storedPredecessor returns the sockets that the service manager has for a configuration: of the
// previous process, with the counters, and of .socket units. The result is nil without such
// sockets.
func (v *service) storedPredecessor(c *config.Config) (*succession.Predecessor, error) {
	p := succession.NewStored(v.log)
	err := v.assignSockets(c, p)
	if err != nil || len(p.Offer.Listeners) == 0 {
		p.Close()
		return nil, err
	}
	if v.stored.Memory.Counters == nil {
		return p, nil
	}
	memory, err := v.stored.Memory.Duplicate()
	if err == nil {
		p.Counters, err = metrics.OpenSharedCounters(memory.Counters, memory.Control)
	}
	if err != nil {
		v.log.Error().Err(err).Str("effect", "counters begin at zero").Msg("stored counters unusable")
	}
	return p, nil
}

// storedSocket is a socket from the service manager.
type storedSocket struct {
	file     *os.File
	name     string            // for the log
	listener *handoff.Listener // of the manifest; nil: a socket that is in no manifest
	unit     bool              // of a .socket unit
	at       netip.AddrPort
	err      error // why at is unknown
	assigned bool
}

// assignSockets adds the stored sockets of each configured listener to the offer of p.
func (v *service) assignSockets(c *config.Config, p *succession.Predecessor) error {
	all := v.storedSockets()
	unlisted := make(map[netip.AddrPort][]*storedSocket)
	listed := make(map[*handoff.Listener][]*storedSocket)
	for _, s := range all {
		if s.listener != nil {
			listed[s.listener] = append(listed[s.listener], s)
		} else {
			unlisted[withoutZone(s.at)] = append(unlisted[withoutZone(s.at)], s)
		}
	}
	continues := matchListeners(v.stored.Listeners, c.Listeners)
	for _, l := range c.Listeners {
		offered := handoff.Listener{Name: l.Name, Address: l.Address, Protocol: l.Protocol,
			Seed: rand.Uint32()}
		at := withoutZone(l.Resolved())
		for _, s := range slices.Concat(listed[continues[l]], unlisted[at]) {
			if !s.matches(at) {
				continue
			}
			file, err := sys.DuplicateFile(s.file, "")
			if err != nil {
				return err
			}
			s.assigned = true
			v.owns = v.owns || s.unit
			offered.Sockets = append(offered.Sockets, file)
			if s.listener != nil {
				offered.Seed = s.listener.Seed
			}
		}
		if len(offered.Sockets) > 0 {
			p.Offer.Listeners = append(p.Offer.Listeners, offered)
		}
	}
	v.logUnused(all)
	return nil
}

// storedSockets returns all sockets from the service manager, in the order of preference.
func (v *service) storedSockets() (all []*storedSocket) {
	add := func(s storedSocket) {
		s.at, s.err = engine.SocketAddress(s.file)
		all = append(all, &s)
	}
	for i := range v.stored.Listeners {
		l := &v.stored.Listeners[i]
		for _, file := range l.Sockets {
			add(storedSocket{file: file, name: l.Name, listener: l})
		}
	}
	for _, file := range v.stored.Surplus {
		add(storedSocket{file: file, name: "the store"})
	}
	for _, passed := range v.stored.Activated {
		add(storedSocket{file: passed.File, name: passed.Name, unit: true})
	}
	return all
}

// matches returns whether the socket is free for a listener with the resolved address at. Port 0
// matches any port. In the manifest, the address of a host name may have changed since.
func (s *storedSocket) matches(at netip.AddrPort) bool {
	here := withoutZone(s.at)
	return s.err == nil && !s.assigned && here.Addr() == at.Addr() &&
		(at.Port() == 0 && s.listener != nil || at.Port() == here.Port())
}

// logUnused logs the sockets that no listener reads, once in a process.
func (v *service) logUnused(all []*storedSocket) {
	if v.loggedUnused {
		return
	}
	v.loggedUnused = true
	for _, s := range all {
		if s.assigned {
			continue
		}
		event := v.log.Warn().Str("from", s.name)
		if s.err == nil {
			event = event.Stringer("address", s.at)
		}
		event.Err(s.err).Str("effect", "no process reads the socket").
			Msg("socket of the service manager unused")
	}
}

// withoutZone returns an address without its zone, which may be a name or a number.
func withoutZone(at netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}
