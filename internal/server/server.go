// Package server is a running serve: it opens the listeners, stands by or takes over from another
// process, reads until it is told to stop, hands over or drains, and logs what it does. One
// goroutine, the main loop in server.wait, changes the state of a server; shards, outputs and HTTP
// have goroutines and threads of their own.
package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/engine"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

// server is a running serve.
type server struct {
	Options
	config  *config.Config
	service *service
	log     zerolog.Logger
	ledger  *metrics.Ledger
	outputs *output.Set
	groups  []group            // of config.listeners, in their order
	opened  []*config.Listener // those that they were opened for: names, addresses and protocols stay

	continued map[*config.Listener]*handoff.Listener // the listener of the predecessor that each continues

	dns     []*dnsService
	zones   map[string]*dns.Zones // by listeners, which other attempts to start have read
	secret  dns.Secret
	web     *httpServer
	stats   *stats
	reloads *reloader // of the main loop

	counters   *metrics.SharedCounters // nil where nobody can take over
	succession *succession.Succession
	handover   *handover

	wasStandby    bool    // it was a standby, with these settings
	quiesced      []group // groups that a handover has stopped; of the main loop
	hanging       bool    // a shard is no longer waited for, and may wake up; of the main loop
	stopping      bool    // by a signal; of the main loop
	reloadPending bool    // SIGHUP came in a takeover, and what it asks for was not read; of the main loop
	secondSignal  sync.Once
	leftover      *succession.Predecessor // what was not taken over; closed when this process reads
}

// Options are what a server starts with.
type Options struct {
	Flags  *config.Flags  // read again for each reload
	Config *config.Config // the settings of the start, from Flags
	Stderr io.Writer      // for the log
	Exit   func(error)    // ends the process at once with an error, at a second signal to stop

	Version     string            // told to other processes and in the status
	BuildLabels map[string]string // of the metric udpshard_build_info
}

// Run serves until a signal stops the process, another process takes over, or an error ends it. It
// returns nil after a stop in order. Run is called once in a process.
func Run(o Options) error {
	signals, done := listenForSignals(o.Exit) // first: whoever sees a socket may already send one
	defer done()

	logs := logWriter(o.Stderr)
	defer closeLog(logs)
	log := newLogger(logs, cli.IsTerminal(o.Stderr), o.Config.LogFormat)
	setLevel(o.Config.LogLevel)
	warnOfZone(log)
	next := startup{Options: o, config: o.Config, service: openService(log), signals: signals}
	s, err := next.run()
	if s == nil {
		return preflight.StartError(next.config, err)
	}
	return s.run(signals)
}

func newServer(o Options, c *config.Config, v *service) *server {
	s := &server{Options: o, config: c, service: v, log: v.log, ledger: metrics.NewLedger(o.Version)}
	s.secret = dns.NewSecret()
	s.outputs = output.NewSet(s.outputEvent)
	s.handover = newHandover(s)
	s.succession = succession.New(succession.Settings{
		Path: c.Takeover, PathError: c.TakeoverError, Version: o.Version,
		Standby: c.Standby, StandbyAfter: c.StandbyAfter,
		// An active process stops or refuses within its own drain timeout, which is assumed to be
		// the same, or within hangTimeout.
		QuiesceTimeout: max(c.DrainTimeout, hangTimeout) + hangTimeout,
	}, s, s.ledger, s.log)
	v.setServer(s)
	return s
}

// run serves until it is told to stop or can't go on, and drains.
func (s *server) run(signals signals) error {
	ctx, stop := context.WithCancel(context.Background())
	defer func() {
		// A group that hangs would turn away what comes to sockets that a standby has.
		if !s.hanging {
			stop()
		}
	}()
	ended := make(chan error, len(s.groups))
	kept := s.service.store(s, storeTimeout)
	s.succession.PrimeHeartbeats()
	s.succession.ServePeers(ctx, s.handover) // before it reads: what kills it may be the first that comes
	s.succession.WaitForStandbys()
	s.startGroups(ctx, s.groups, ended)
	var logged sync.WaitGroup
	logged.Go(func() { s.logStart(ctx) })
	defer func() { stop(); logged.Wait() }()
	s.stats = newStats(s.ledger, s.log, s.config.StatsInterval)
	s.web.serve()
	s.service.ready(s, kept)

	err := s.mainLoop(ctx, signals, ended)
	s.handover.close()
	if err == nil && s.succession.Fenced() { // a signal to stop came before a shard had noticed
		err = engine.ErrFenced
	}
	switch {
	case errors.Is(err, errHandedOver):
		s.awaitSuccessor()
		return s.exitHandedOver("handed over: another process reads on where this one stopped")
	case errors.Is(err, engine.ErrFenced):
		return s.exitFenced(err, signals, ended)
	}
	return errors.Join(err, s.drain(stop, signals, ended))
}

// startGroups has groups read, until ctx ends or they yield.
func (s *server) startGroups(ctx context.Context, groups []group, ended chan<- error) {
	for _, g := range groups {
		go func() { ended <- g.Run(ctx) }()
	}
}

// fenceInterval is the time between two checks of the main loop whether this process was replaced.
// A group with a shard that hangs does not return, and so does not report that.
const fenceInterval = 250 * time.Millisecond

// errHandedOver: another process has all that this one had.
var errHandedOver = errors.New("handed over")

// mainLoop returns when it is time to drain, with what forces it, or to leave.
func (s *server) mainLoop(ctx context.Context, signals signals, ended chan error) error {
	var passed <-chan error
	stop := signals.stop
	s.reloads = newReloader(s.log)
	defer s.reloads.slow.Stop()
	switch {
	case s.reloadPending:
		s.reloadPending = false
		s.beginReload()
	case s.wasStandby && len(s.dns) > 0: // what was read when it began to stand by may be old
		s.reloads.begin(s.reloadZones)
	}
	path := time.NewTicker(succession.KeepPathInterval)
	defer path.Stop()
	if s.config.Takeover == "" {
		path.Stop()
	}
	fence := time.NewTicker(fenceInterval)
	defer fence.Stop()
	for {
		select {
		case <-fence.C:
			if s.succession.Fenced() {
				return engine.ErrFenced
			}
		case <-signals.reload:
			s.reopenAndReload()
		case next := <-s.reloads.done:
			s.endReload(next)
		case <-s.reloads.slow.C:
			s.reloads.logSlow()
		case sig := <-stop:
			s.watchSecond(sig.at, signals)
			if s.succession.Fenced() {
				return nil
			}
			if passed = s.handOverToStandby(ctx, sig.Signal); passed == nil {
				s.log.Info().Stringer("signal", sig).Msg("draining")
				return nil
			}
			s.stopping, stop = true, nil
		case err := <-passed:
			if passed = nil; err != nil {
				s.log.Warn().Err(err).Msg("no standby has taken over: draining")
				return nil
			}
		case err := <-ended:
			ended <- err // drain counts them
			if errors.Is(err, engine.ErrFenced) {
				return err
			}
			if err != nil {
				s.log.Error().Err(err).Msg("a shard can't go on: draining the others")
				return nil // drain returns it
			}
		case err := <-s.outputs.Broken():
			return err
		case <-path.C:
			s.succession.KeepPath(ctx, s.handover)
		case tick := <-s.stats.tick():
			s.stats.log(tick)
		case asked := <-s.handover.requests:
			late, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
			stopAlive := s.succession.KeepAlive()
			asked.done <- s.quiesce(late, asked.peer, ended, signals)
			cancel()
			handedOver := <-s.handover.ended
			stopAlive()
			if handedOver {
				return errHandedOver
			}
			s.startGroups(ctx, s.quiesced, ended)
			if s.reloadPending {
				s.reloadPending = false
				s.beginReload()
			}
			for _, d := range s.dns {
				if err := d.resume(s.groups[slices.Index(s.opened, d.listener)]); err != nil {
					s.log.Error().Err(err).Msg("queries over TCP are not answered")
				}
			}
			if s.stopping && passed == nil {
				return nil
			}
		}
	}
}
