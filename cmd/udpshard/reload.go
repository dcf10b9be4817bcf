package main

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/udpshard/udpshard/packet/dns"
)

// preparation is what a reload is to put into force.
type preparation struct {
	asked bool    // by SIGHUP; else it is zones alone
	next  *config // that was read, if err is nil
	zones map[string]*dns.Zones
	err   error
}

// prepare reads what there is to reload, beside all else that goes on: a large
// zone takes seconds.
func (s *server) prepare(now *config) (r preparation) {
	r.asked = true
	if r.next, r.err = s.flags.config(); r.err == nil {
		r.err = now.fixed(r.next)
	}
	if r.err == nil {
		r.zones, r.err = loadZones(r.next.listeners)
	}
	return r
}

// prepareZones is for a process that has read its zones long ago, when it began to
// stand by.
func (s *server) prepareZones() (r preparation) {
	r.zones, r.err = loadZones(s.opened)
	return r
}

// reload puts into force what can change while sockets stay open. A file that
// can't be used is refused whole, and the old settings stay.
func (s *server) reload(r preparation) {
	switch {
	case r.err != nil && !r.asked:
		s.log.Error().Err(r.err).Msg("zones can't be read again: those that were read when this process began to stand by stay")
	case r.err != nil:
		s.log.Error().Err(r.err).Msg("reload refused: the settings before stay; output files are opened anew")
	default:
		for _, d := range s.dns {
			d.SetZones(r.zones[d.listener.name])
			s.tellZones(d)
		}
		if len(s.dns) > 0 {
			go debug.FreeOSMemory() // the zones before
		}
		if r.asked {
			s.putIntoForce(r.next)
		}
	}
}

func (s *server) putIntoForce(next *config) {
	for i, l := range next.listeners {
		if err := errors.Join(s.groups[i].SetPolicy(l.policy()), s.groups[i].SetSteering(l.steering())); err != nil {
			s.log.Error().Err(l.locate(err)).Str("listener", l.name).Msg("what this says stays as it was; the rest is in force")
		}
	}
	setLevel(next.logLevel)
	s.stats.setInterval(next.statsInterval)
	s.config = next
	s.log.Info().Msg("reloaded: settings are in force, output files are opened anew")
}

// fixed returns an error if next differs in what only a restart can change.
func (c *config) fixed(next *config) error {
	if len(next.listeners) != len(c.listeners) {
		return fmt.Errorf("listeners: there were %d and now there are %d: that needs a restart", len(c.listeners), len(next.listeners))
	}
	if err := sameSettings(configSettings, c, next, c.given, next.given, next.place); err != nil {
		return err
	}
	for i, l := range c.listeners {
		n := next.listeners[i]
		if err := sameSettings(listenerSettings, l, n, l.given, n.given, n.place); err != nil {
			return err
		}
	}
	return nil
}

// sameSetting says whether two spellings are of the same value.
func sameSetting[T any](s setting[T], a, b string) bool {
	var first, second T
	return a == b || a != "" && b != "" && s.set(&first, a) == nil && s.set(&second, b) == nil && reflect.DeepEqual(first, second)
}

func sameSettings[T any](settings []setting[T], old, next *T, before, after map[string]source, place func(key string) string) error {
	for _, s := range settings {
		if s.live {
			continue
		}
		was, is := s.init, s.init
		if at, ok := before[s.key]; ok {
			was = at.text
		}
		if at, ok := after[s.key]; ok {
			is = at.text
		}
		if !sameSetting(s, was, is) && (s.means == nil || !reflect.DeepEqual(s.means(old), s.means(next))) {
			return fmt.Errorf("%s: was %q and is %q: that needs a restart", place(s.key), was, is)
		}
	}
	return nil
}
