// Package server is a running serve: it opens the listeners, stands by or takes over from another
// process, reads until it is told to stop, hands over or drains, and logs what it does. One
// goroutine, the main loop in server.wait, changes the state of a server; shards, outputs and HTTP
// have goroutines and threads of their own.
package server

import (
	"context"
	"errors"
	"io"
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
	config     *config.Config // in force
	log        zerolog.Logger
	service    *service
	ledger     *metrics.Ledger
	succession *succession.Succession
	outputs    *output.Set
	listeners  []*listener // of config.Listeners, in their order
	dns        dnsState
	web        *httpServer
	handover   *handover
	loop       loopState
}

// listener is an open listener.
type listener struct {
	group
	settings  *config.Listener  // when it was opened: name, address and protocol never change
	continues *handoff.Listener // the predecessor's listener; nil: none
	dns       *dnsService       // nil: another protocol
}

// loopState is for the goroutine of the main loop, and before for the goroutine that starts.
type loopState struct {
	role          handoff.Role
	stats         *stats
	reloads       *reloader
	reloadPending bool                    // a SIGHUP of the time of a takeover has to be obeyed yet
	wasStandby    bool                    // this process was a standby with these settings
	predecessor   *succession.Predecessor // closed when this process reads
	quiesced      []*listener             // stopped for a handover
	hanging       bool                    // the process does not wait for a shard, which may wake up
	secondSignal  sync.Once
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
	s.dns.secret = dns.NewSecret()
	s.outputs = output.NewSet(s.outputEvent)
	s.handover = newHandover(s)
	s.succession = succession.New(succession.Settings{
		Path: c.Takeover, PathError: func(err error) error { return preflight.TakeoverError(c, err) }, Version: o.Version,
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
		if !s.loop.hanging {
			stop()
		}
	}()
	ended := make(chan error, len(s.listeners))
	kept := s.service.store(s, storeTimeout)
	s.succession.PrimeHeartbeats()
	s.succession.ServePeers(ctx, s.handover) // before it reads: what kills it may be the first that comes
	s.succession.WaitForStandbys()
	s.startGroups(ctx, s.listeners, ended)
	logging, endLogging := context.WithCancel(ctx)
	var logged sync.WaitGroup
	logged.Go(func() { s.logStart(logging) })
	defer func() { endLogging(); logged.Wait() }()
	s.loop.stats = newStats(s.ledger, s.log, s.config.StatsInterval)
	s.web.serve()
	s.service.ready(s, kept)

	err := s.mainLoop(ctx, signals, ended)
	s.handover.close()
	if err == nil && s.loop.role == handoff.Draining && s.succession.Fenced() { // replaced at the moment of the signal
		s.change(handoff.Replaced)
		err = engine.ErrFenced
	}
	switch s.loop.role {
	case handoff.HandedOver:
		s.awaitSuccessor()
		return s.exitHandedOver("handover finished")
	case handoff.Fenced:
		return s.exitFenced(err, signals, ended)
	}
	return errors.Join(err, s.drain(stop, signals, ended))
}

// change changes the role of the process. The status has the role as active, standby or draining.
func (s *server) change(e handoff.Event) {
	next, err := s.loop.role.Next(e)
	if err != nil { // a mistake of this program: the process goes on with the role that it has
		s.log.Error().Err(err).Msg("role unchanged")
		return
	}
	s.log.Debug().Stringer("from", s.loop.role).Stringer("role", next).Stringer("event", e).Msg("role changed")
	s.loop.role = next
	switch {
	case next == handoff.Standby:
		s.ledger.SetRole(metrics.Standby)
	case next == handoff.Active:
		s.ledger.SetRole(metrics.Active)
	case next.Ends():
		s.ledger.SetRole(metrics.Draining)
	}
}

// startGroups has groups read, until ctx ends or they yield.
func (s *server) startGroups(ctx context.Context, groups []*listener, ended chan<- error) {
	for _, g := range groups {
		go func() { ended <- g.Run(ctx) }()
	}
}

// fenceInterval is the time between two checks of the main loop whether this process was replaced.
// A group with a shard that hangs does not return, and so does not report that.
const fenceInterval = 250 * time.Millisecond

// mainLoop returns when it is time to drain, with what forces it, or to leave.
func (s *server) mainLoop(ctx context.Context, signals signals, ended chan error) error {
	var passed <-chan error
	stop := signals.stop
	s.loop.reloads = newReloader(s.log)
	defer s.loop.reloads.slow.Stop()
	switch {
	case s.loop.reloadPending:
		s.loop.reloadPending = false
		s.beginReload()
	case s.loop.wasStandby && len(s.dnsServices()) > 0: // what was read when it began to stand by may be old
		s.loop.reloads.begin(s.reloadZones)
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
				s.change(handoff.Replaced)
				return engine.ErrFenced
			}
		case <-signals.reload:
			s.reopenAndReload()
		case next := <-s.loop.reloads.done:
			s.endReload(next)
		case <-s.loop.reloads.slow.C:
			s.loop.reloads.logSlow()
		case sig := <-stop:
			s.watchSecond(sig.at, signals)
			if s.succession.Fenced() {
				s.change(handoff.Replaced)
				return engine.ErrFenced
			}
			if passed = s.handOverToStandby(ctx, sig.Signal); passed == nil {
				s.log.Info().Stringer("signal", sig).Msg("draining")
				s.change(handoff.StopRequested)
				return nil
			}
			s.change(handoff.StopPassedOn)
			stop = nil
		case err := <-passed:
			if passed = nil; err != nil {
				s.log.Warn().Err(err).Msg("handover to a standby failed")
				s.change(handoff.Failed)
				return nil
			}
		case err := <-ended:
			ended <- err // drain counts them
			if errors.Is(err, engine.ErrFenced) {
				s.change(handoff.Replaced)
				return err
			}
			if err != nil {
				s.log.Error().Err(err).Str("effect", "the process drains").Msg("shard failed")
				s.change(handoff.Failed)
				return nil // drain returns it
			}
		case err := <-s.outputs.Broken():
			s.change(handoff.Failed)
			return err
		case <-path.C:
			s.succession.KeepPath(ctx, s.handover)
		case tick := <-s.loop.stats.tick():
			s.loop.stats.log(tick)
		case asked := <-s.handover.requests:
			s.change(handoff.QuiesceRequested)
			late, cancel := context.WithTimeout(ctx, s.config.DrainTimeout)
			stopAlive := s.succession.KeepAlive()
			asked.done <- s.quiesce(late, asked.peer, ended, signals)
			cancel()
			handedOver := <-s.handover.ended
			stopAlive()
			if handedOver {
				s.change(handoff.HandoverCommitted)
				return nil
			}
			s.change(handoff.Resumed)
			s.startGroups(ctx, s.loop.quiesced, ended)
			if s.loop.reloadPending {
				s.loop.reloadPending = false
				s.beginReload()
			}
			for _, d := range s.dnsServices() {
				if err := d.resume(); err != nil {
					s.log.Error().Err(err).Msg("DNS over TCP unavailable")
				}
			}
			if s.loop.role == handoff.Stopping && passed == nil {
				s.change(handoff.Failed)
				return nil
			}
		}
	}
}
