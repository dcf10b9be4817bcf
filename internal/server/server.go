// Package server is a running serve: it opens the listeners, stands by or takes over from another
// process, reads until a signal or a peer ends that, and then hands over or drains. One goroutine
// changes the state of a server: the goroutine of server.mainLoop. Shards, outputs and HTTP have
// goroutines and threads of their own.
package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/dnsservice"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/logging"
	"github.com/udpshard/udpshard/internal/output"
	"github.com/udpshard/udpshard/internal/preflight"
	"github.com/udpshard/udpshard/metrics"
)

// Options are the arguments of Run.
type Options struct {
	Flags  *config.Flags  // read again for each reload
	Config *config.Config // the settings of the start, from Flags
	Stderr io.Writer      // for the log
	Exit   func(error)    // ends the process at once with an error, at a second signal to stop

	Version  string // for other processes, the status and the metrics
	Revision string // of the source code, for the metrics
}

// Run serves until a signal stops the process, another process takes over, or an error ends the
// process. The result of an ordered stop is nil. Run is called once in a process.
func Run(o Options) error {
	// The first step: a process that sees a socket of this process may already send a signal.
	signals, done := listenForSignals(o.Exit)
	defer done()

	logs := logging.NewQueue(o.Stderr)
	defer logging.CloseQueue(logs)
	log := logging.New(logs, cli.IsTerminal(o.Stderr), o.Config.LogFormat)
	logging.SetLevel(o.Config.LogLevel)
	logging.WarnUnknownZone(log)
	next := startup{Options: o, config: o.Config, service: openService(log), signals: signals}
	s, err := next.run()
	if s == nil {
		return preflight.StartError(next.config, err)
	}
	return s.run()
}

// server is a running serve.
type server struct {
	Options
	config     *config.Config // in force
	log        zerolog.Logger
	service    *service
	ledger     *metrics.Ledger
	succession *succession.Succession
	outputs    outputs
	listeners  []*listener // in the order of config.Listeners
	dns        dnsState
	web        *httpServer
	handover   *handover
	loop       loopState
}

// listener is an open listener.
type listener struct {
	group
	settings  *config.Listener    // of the start: name, address and protocol never change
	continues *handoff.Listener   // the predecessor's listener; nil: a new listener
	dns       *dnsservice.Service // nil: the protocol is not dns
}

func newServer(o Options, c *config.Config, v *service, signals signals) *server {
	s := &server{Options: o, config: c, service: v, log: v.log, ledger: metrics.NewLedger(o.Version)}
	s.ledger.Revision = o.Revision
	s.loop.signals = signals
	s.loop.history = history.New(s.ledger)
	s.dns.secrets = dnsservice.NewCookieSecrets(c.CookieSecrets, c.CookieRotate, c.CookieState())
	s.outputs.Set = output.NewSet(s.outputEvent)
	s.handover = newHandover(s)
	s.succession = succession.New(succession.Settings{
		Path:         c.Takeover,
		PathError:    func(err error) error { return preflight.TakeoverError(c, err) },
		Version:      o.Version,
		Standby:      c.Standby,
		StandbyAfter: c.StandbyAfter,
		// An active process stops or refuses within its own drain timeout, which is assumed to be
		// equal, or within handoff.HangTimeout.
		QuiesceTimeout: max(c.DrainTimeout, handoff.HangTimeout) + handoff.HangTimeout,
	}, s, s.ledger, s.log)
	v.setServer(s)
	return s
}

// run serves until a signal, a handover, a replacement or an error, and then drains or exits.
func (s *server) run() error {
	ctx, stop := context.WithCancel(context.Background())
	defer func() {
		// A group that hangs would reject datagrams at sockets that a standby has.
		if !s.loop.hanging {
			stop()
		}
	}()
	s.loop.ended = make(chan error, len(s.listeners))
	stored := s.service.store(s, storeTimeout)
	s.succession.PrimeHeartbeats()
	// Peers come before the shards read: the first datagram may kill this process.
	s.succession.ServePeers(ctx, s.handover)
	s.succession.WaitForStandbys()
	s.startGroups(ctx, s.listeners)
	var beside sync.WaitGroup
	starting, stopLogging := context.WithCancel(ctx)
	beside.Go(func() { s.logStart(starting) })
	recording, stopRecording := context.WithCancel(context.Background()) // also during a drain
	beside.Go(func() { s.loop.history.Run(recording) })
	if len(s.dnsServices()) > 0 {
		beside.Go(func() { s.dns.secrets.Run(recording, s.log) })
	}
	defer func() { stopLogging(); stopRecording(); beside.Wait() }()
	s.loop.stats = logging.NewStats(s.ledger, s.log, s.config.StatsInterval)
	s.outputs.startShipping()
	s.web.serve()
	s.service.ready(s, stored)

	err := s.mainLoop(ctx)
	s.handover.close()
	if err == nil && s.loop.role == handoff.Draining {
		s.checkFenced() // at the moment of the signal
	}
	switch s.loop.role {
	case handoff.HandedOver:
		s.awaitSuccessor()
		return s.exitHandedOver("handover finished")
	case handoff.Fenced:
		return s.exitFenced()
	}
	return errors.Join(err, s.drain(stop))
}

// startGroups starts to read in groups, until ctx ends or the groups are quiesced.
func (s *server) startGroups(ctx context.Context, groups []*listener) {
	for _, g := range groups {
		go func() { s.loop.ended <- g.Run(ctx) }()
	}
}
