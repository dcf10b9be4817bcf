package server

import (
	"errors"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/logging"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/packet/dns"
)

// loadedSettings is the result of reading the files for a reload.
type loadedSettings struct {
	requested bool           // by SIGHUP; false: a reload of zones only
	next      *config.Config // if err is nil and the reload was requested
	zones     map[string]*dns.Zones
	err       error
}

// reloader reads files for reloads, one reload after the other, in goroutines of its own. The
// methods are for the goroutine that receives from done and slow.
type reloader struct {
	log       zerolog.Logger
	done      chan loadedSettings
	slow      *time.Timer // for logSlow
	began     time.Time   // of the read under way; zero: no read
	requested bool        // a reload was requested since began: files may have changed meanwhile
}

const (
	// slowReload is the time after which the log mentions a read under way: about the time for a
	// zone of 1,000,000 names.
	slowReload = 5 * time.Second
	// slowReloadAgain is the time between later log lines about the same read.
	slowReloadAgain = time.Minute
)

func newReloader(log zerolog.Logger) *reloader {
	r := &reloader{log: log, done: make(chan loadedSettings, 1), slow: time.NewTimer(slowReload)}
	r.slow.Stop()
	return r
}

// begin calls read in a goroutine. While a read is under way, begin returns false, and end returns
// true later.
func (r *reloader) begin(read func() loadedSettings) bool {
	if !r.began.IsZero() {
		r.requested = true
		r.log.Warn().Stringer("reading_for", time.Since(r.began).Round(time.Millisecond)).
			Str("effect", "the reload begins after the reload under way").Msg("reload deferred")
		return false
	}
	r.began, r.requested = time.Now(), false
	r.slow.Reset(slowReload)
	go func() { r.done <- read() }()
	return true
}

// end is called after receiving from done. The result is whether a further reload has to begin.
func (r *reloader) end() (again bool) {
	r.began = time.Time{}
	r.slow.Stop()
	return r.requested
}

// logSlow is called after receiving from slow.
func (r *reloader) logSlow() {
	if r.began.IsZero() {
		return // the read has just ended
	}
	r.log.Warn().Stringer("reading_for", time.Since(r.began).Round(time.Millisecond)).
		Msg("reload still reading files")
	r.slow.Reset(slowReloadAgain)
}

// reopenAndReload is for SIGHUP. The outputs are reopened first, also during a reload and before
// the notification of a service manager, which may hang: a log rotation waits for the reopening.
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

// endReload applies loaded settings.
func (s *server) endReload(r loadedSettings) {
	again := s.loop.reloads.end()
	s.reload(r)
	if again {
		s.beginReload()
	} else if r.requested {
		s.service.readyAgain(s)
	}
}

// loadSettings reads the configuration and the zones, in a goroutine of reloader: a large zone
// takes seconds.
func (s *server) loadSettings(now *config.Config) (r loadedSettings) {
	r.requested = true
	if r.next, r.err = s.Flags.Config(); r.err == nil {
		r.err = now.CheckReload(r.next)
	}
	if r.err == nil {
		r.zones, r.err = preflight.LoadZones(r.next.Listeners, s.dns.zones)
	}
	return r
}

// reloadZones reads the zones again, for a process that has been a standby since the first read.
func (s *server) reloadZones() (r loadedSettings) {
	var opened []*config.Listener
	for _, l := range s.listeners {
		opened = append(opened, l.settings)
	}
	r.zones, r.err = preflight.LoadZones(opened, s.dns.zones)
	return r
}

// reload applies the settings that can change while sockets stay open. After an error the previous
// settings stay.
func (s *server) reload(r loadedSettings) {
	var failed error // zones
	switch {
	case r.err != nil && !r.requested:
		s.log.Error().Err(r.err).
			Str("effect", "the zones read at the start of the standby stay in force").
			Msg("zone reload failed")
	case r.err != nil:
		logRefused(s.log, r.err)
	default:
		for _, l := range s.listeners {
			if l.dns != nil {
				s.dns.zones[l.settings.Name] = r.zones[l.settings.Name]
				l.dns.SetZones(r.zones[l.settings.Name])
				l.dns.LogZones(s.log)
				for _, zone := range r.zones[l.settings.Name].Failed() {
					failed = errors.Join(failed, zone)
				}
			}
		}
		if len(s.dnsServices()) > 0 {
			go debug.FreeOSMemory() // of the previous zones
		}
		if r.requested {
			r.err = s.applySettings(r.next)
		}
		r.err = errors.Join(r.err, failed)
	}
	s.setReloadResult(r.err)
}

// setReloadResult sets the result of a reload in the status and the metrics.
func (s *server) setReloadResult(err error) {
	s.ledger.SetConfig(s.ledger.Config().After(err, time.Now()))
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

// applySettings puts new settings into force. The errors are those of listeners whose old settings
// stay in force, and are logged.
func (s *server) applySettings(next *config.Config) (failed error) {
	for i, l := range next.Listeners {
		opened := s.listeners[i]
		err := errors.Join(opened.SetPolicy(l.Policy()), opened.SetSteering(l.Steering()))
		if err != nil {
			s.log.Error().Err(l.WithPosition(err)).Str("listener", l.Name).
				Str("effect", "the old settings of the listener stay in force").
				Msg("settings of a listener not applied")
			failed = errors.Join(failed, err)
		}
	}
	logging.SetLevel(next.LogLevel)
	s.loop.stats.SetInterval(next.StatsInterval)
	s.web.setAccess(next)
	s.dns.secrets.Configure(next.CookieSecrets)
	s.config = next
	s.log.Info().Msg("reload finished")
	return failed
}
