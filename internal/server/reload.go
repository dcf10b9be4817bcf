package server

import (
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/packet/dns"
)

// loadedSettings is what a reload is to put into force.
type loadedSettings struct {
	asked bool           // by SIGHUP; else it is zones alone
	next  *config.Config // that was read, if err is nil
	zones map[string]*dns.Zones
	err   error
}

// reloader reads what reloads ask for, one after the other, beside a loop that goes on to
// hear signals. It is for the goroutine of that loop.
type reloader struct {
	log   zerolog.Logger
	done  chan loadedSettings
	slow  *time.Timer // for telling that reading still goes on
	began time.Time   // zero: nothing is being read
	asked bool        // another reload was asked for since: files may have changed behind the read
}

const (
	// slowReload is how long a reload may read before the log says that it still does:
	// a zone of 1,000,000 names takes about that.
	slowReload = 5 * time.Second
	// slowReloadAgain is how often the log says it from then on.
	slowReloadAgain = time.Minute
)

func newReloader(log zerolog.Logger) *reloader {
	r := &reloader{log: log, done: make(chan loadedSettings, 1), slow: time.NewTimer(slowReload)}
	r.slow.Stop()
	return r
}

// begin has read called beside the caller. While another one is under way, it says so
// and returns false, and end asks for it again.
func (r *reloader) begin(read func() loadedSettings) bool {
	if !r.began.IsZero() {
		r.asked = true
		r.log.Warn().Stringer("reading_for", time.Since(r.began).Round(time.Millisecond)).
			Str("effect", "the reload begins after the reload under way").Msg("reload deferred")
		return false
	}
	r.began, r.asked = time.Now(), false
	r.slow.Reset(slowReload)
	go func() { r.done <- read() }()
	return true
}

// end is called with what has come from done. It says whether there is another reload
// to begin.
func (r *reloader) end() (again bool) {
	r.began = time.Time{}
	r.slow.Stop()
	return r.asked
}

// logSlow is called when slow fires.
func (r *reloader) logSlow() {
	if r.began.IsZero() {
		return // it has ended at this very moment
	}
	r.log.Warn().Stringer("reading_for", time.Since(r.began).Round(time.Millisecond)).Msg("reload still reading files")
	r.slow.Reset(slowReloadAgain)
}

// reopenAndReload is what SIGHUP asks for. Outputs are opened anew at once, whatever else is
// under way, and before a service manager hears of it that may hang: whoever rotates
// files waits for that.
func (s *server) reopenAndReload() {
	s.ReopenOutputs()
	s.service.reloading()
	s.beginReload()
}

// beginPendingReload begins the reload that a takeover or handover has deferred, if there was one.
func (s *server) beginPendingReload() (pending bool) {
	pending, s.loop.reloadPending = s.loop.reloadPending, false
	if pending {
		s.beginReload()
	}
	return pending
}

func (s *server) beginReload() {
	now := s.config
	if s.loop.reloads.begin(func() loadedSettings { return s.loadSettings(now) }) {
		s.log.Info().Msg("reload started")
	}
}

// endReload puts into force what was read.
func (s *server) endReload(r loadedSettings) {
	again := s.loop.reloads.end()
	s.reload(r)
	if again {
		s.beginReload()
	} else if r.asked {
		s.service.readyAgain(s)
	}
}

// loadSettings reads what there is to reload, beside all else that goes on: a large
// zone takes seconds.
func (s *server) loadSettings(now *config.Config) (r loadedSettings) {
	r.asked = true
	if r.next, r.err = s.Flags.Config(); r.err == nil {
		r.err = now.CheckReload(r.next)
	}
	if r.err == nil {
		r.zones, r.err = preflight.LoadZones(r.next.Listeners)
	}
	return r
}

// reloadZones is for a process that has read its zones long ago, when it began to
// stand by.
func (s *server) reloadZones() (r loadedSettings) {
	var opened []*config.Listener
	for _, l := range s.listeners {
		opened = append(opened, l.settings)
	}
	r.zones, r.err = preflight.LoadZones(opened)
	return r
}

// reload puts into force what can change while sockets stay open. A file that
// can't be used is refused whole, and the old settings stay.
func (s *server) reload(r loadedSettings) {
	switch {
	case r.err != nil && !r.asked:
		s.log.Error().Err(r.err).Str("effect", "the zones read at the start of the standby stay in force").Msg("zone reload failed")
	case r.err != nil:
		logRefused(s.log, r.err)
	default:
		for _, d := range s.dnsServices() {
			d.SetZones(r.zones[d.listener.Name])
			s.logZones(d)
		}
		if len(s.dnsServices()) > 0 {
			go debug.FreeOSMemory() // the zones before
		}
		if r.asked {
			s.applySettings(r.next)
		}
	}
}

// logRefused logs that a reload is refused and the previous settings stay, with the remedy of
// each error.
func logRefused(log zerolog.Logger, err error) {
	var remedies []string
	for _, part := range cli.Separate(err) {
		if hint := cli.Hint(part); hint != "" {
			remedies = append(remedies, hint)
		}
	}
	event := log.Error().Err(err)
	if len(remedies) > 0 {
		event = event.Str("remedy", strings.Join(remedies, "; "))
	}
	event.Msg("reload refused")
}

func (s *server) applySettings(next *config.Config) {
	for i, l := range next.Listeners {
		if err := errors.Join(s.listeners[i].SetPolicy(l.Policy()), s.listeners[i].SetSteering(l.Steering())); err != nil {
			s.log.Error().Err(l.WithPosition(err)).Str("listener", l.Name).Str("effect", "the old settings of the listener stay in force").Msg("settings of a listener not applied")
		}
	}
	setLevel(next.LogLevel)
	s.loop.stats.setInterval(next.StatsInterval)
	s.config = next
	s.log.Info().Msg("reload finished")
}
