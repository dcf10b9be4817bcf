package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/output"
	"github.com/udpshard/udpshard/packet"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/shard"
	"github.com/udpshard/udpshard/shard/steer"
	"github.com/udpshard/udpshard/shard/takeover"
)

func serveCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Receive, shard, handle, count and deliver datagrams",
		Long: `Receives UDP datagrams on one socket per core and writes a record of each.

SIGTERM and SIGINT drain: what is queued is read and written, then the final
ledger is logged; a second one exits at once. SIGHUP reads the file again and
reopens output files, and keeps every socket.`,
		Args: noArguments,
		Example: `  udpshard serve --listen 127.0.0.1:5514 --output file:/tmp/records.json
  logger --udp --server 127.0.0.1 --port 5514 --rfc5424 hello`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.config()
			if err != nil {
				return err
			}
			return serve(&f, c, cmd.ErrOrStderr())
		},
	}
	f.define(cmd)
	return cmd
}

// signals are those that serve listens to.
type signals struct{ stop, reload chan os.Signal }

// server is a running serve.
type server struct {
	flags   *flags
	config  *config
	service *service
	log     zerolog.Logger
	ledger  *metrics.Ledger
	outputs *output.Set
	groups  []*shard.Group // of config.listeners, in their order
	dns     []*dnsService
	secret  dns.Secret
	web     *web
	stats   *stats

	book     *metrics.Book    // nil where nobody can take over
	takeover *takeover.Server // likewise
	handover *handover
	claims   []*takeover.Claim
	second   sync.Once
	remains  *remains // of a process that was replaced, and may still live; nil: none
}

func serve(f *flags, c *config, stderr io.Writer) error {
	// Signals first: whoever sees a socket may already send one. A queue for
	// each kind: what does not fit is dropped, and a second SIGHUP that waits
	// would do nothing new.
	signals := signals{stop: make(chan os.Signal, 2), reload: make(chan os.Signal, 1)}
	signal.Notify(signals.stop, unix.SIGTERM, unix.SIGINT)
	signal.Notify(signals.reload, unix.SIGHUP)
	defer signal.Stop(signals.stop)
	defer signal.Stop(signals.reload)
	signal.Ignore(unix.SIGPIPE) // a broken pipe is an error of the write, told like others

	logs := logWriter(stderr)
	defer closeLog(logs)
	log := newLogger(logs, isTerminal(stderr), c.logFormat)
	setLevel(c.logLevel)
	s, err := started(f, c, openService(log), signals)
	if s == nil {
		return err
	}
	return s.run(signals)
}

func newServer(f *flags, c *config, v *service) *server {
	s := &server{flags: f, config: c, service: v, log: v.log, ledger: metrics.NewLedger(thisBuild().version)}
	s.secret = dns.NewSecret()
	s.outputs = output.NewSet(s.outputEvent)
	s.handover = newHandover(s)
	v.look(s)
	return s
}

// again is an error after which it pays to begin anew: things have changed
// meanwhile, such as which process is active.
type again struct{ error }

func (e again) Unwrap() error { return e.error }

const (
	// againPause is how long to wait before that.
	againPause = 10 * time.Millisecond
	// againPatience is for how long that may go on: nobody listens at the takeover
	// path while the port is taken, since somebody is about to take over.
	againPatience = time.Second
)

// started returns a server that is active, or nil with the error; without one
// where a signal to stop came first.
func started(f *flags, c *config, v *service, signals signals) (*server, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stopped, heard := make(chan os.Signal, 1), make(chan struct{})
	go func() {
		defer close(heard)
		select {
		case sig := <-signals.stop:
			stopped <- sig
			cancel()
		case <-ctx.Done():
		}
	}()
	for began, told := time.Now(), false; ; {
		s := newServer(f, c, v)
		attempt := time.Now()
		err := s.start(ctx, signals.reload)
		if err == nil {
			cancel()
			<-heard
			select {
			case sig := <-stopped: // too late for this, and in time for run
				select {
				case signals.stop <- sig:
				default: // others wait there
				}
			default:
			}
			return s, nil
		}
		s.discard()
		select {
		case sig := <-stopped:
			v.log.Info().Stringer("signal", sig).Msg("stopped before it was active")
			return nil, nil
		default:
		}
		var retry again
		if !errors.As(err, &retry) {
			return nil, err
		}
		if time.Since(attempt) > againPatience || errors.Is(err, errReloaded) { // it was something else before
			began, told = time.Now(), false
		}
		if time.Since(began) > againPatience {
			if !c.standby {
				return nil, retry.error
			}
			if !told {
				told = true
				v.log.Warn().Err(retry.error).Msg("can't stand by yet: trying again")
			}
		}
		c = s.config
		time.Sleep(againPause)
	}
}

// start opens all there is, and where another process serves it now takes it
// over. When ctx ends first, the other goes on.
func (s *server) start(ctx context.Context, reload <-chan os.Signal) error {
	from, err := dialLegacy(ctx, s.config, s.log)
	if err == nil && from == nil {
		from, err = s.service.legacy(s.config)
	}
	if err != nil {
		return err
	}
	defer from.close()
	err = s.open(from)
	switch {
	case err != nil:
		err = from.explain(err)
	case from == nil:
		err = s.listen(takeover.Listen)
	case from.conn == nil:
		err = s.goOn(ctx, from)
	case s.config.standby:
		err = s.standBy(ctx, reload, from)
	default:
		err = s.takeOver(ctx, from)
	}
	if err != nil {
		if (from == nil || from.conn == nil) && s.config.takeover != "" && isTaken(err) {
			err = again{err} // somebody was faster, and answers soon
		}
		return err
	}
	if err := s.listenStreams(); err != nil {
		if from == nil {
			return err
		}
		s.log.Error().Err(err).Msg("queries over TCP are not answered") // those over UDP wait, and there is no way back
	}
	s.ledger.SetRole(metrics.Active)
	for i, l := range s.config.listeners {
		s.announce(l, s.groups[i])
	}
	return nil
}

// listen takes the takeover path, if there is one.
func (s *server) listen(how func(path, version string) (*takeover.Server, error)) (err error) {
	if s.config.takeover != "" {
		if s.takeover, err = how(s.config.takeover, thisBuild().version); err != nil {
			return fmt.Errorf("takeover: %w", err)
		}
	}
	return nil
}

// isTaken says whether another process has the port, or the takeover path.
func isTaken(err error) bool {
	return errors.As(err, new(*shard.InUseError)) || errors.As(err, new(*takeover.InUseError))
}

// discard closes what a server that never was active has opened.
func (s *server) discard() {
	for _, g := range s.groups {
		g.Close()
	}
	s.closeDNS()
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.outputs.Close(soon) // there is nothing to write
	s.web.shutDown(soon)
	if s.takeover != nil {
		s.takeover.Close()
	}
	s.release()
	s.service.look(nil)
	if s.book != nil {
		s.book.Close()
	}
}

// release gives up the right to be active.
func (s *server) release() {
	for _, claim := range s.claims {
		claim.Release()
	}
}

// open takes ports, outputs and the HTTP address, in this order: who finds
// the port taken should read that first.
func (s *server) open(from *legacy) error {
	if from != nil {
		s.heed(from.offer.Notes)
	}
	if err := s.openBook(); err != nil {
		return err
	}
	for _, l := range s.config.listeners {
		answers, err := s.newDNS(l)
		if err != nil {
			return err
		}
		engine := l.engine()
		if answers != nil {
			engine.Handler = answers.Handler
		}
		engine.Inherit = from.inheritance(l.address)
		if s.book != nil {
			engine.Page = func(shard, cpu int) (*metrics.Shard, error) { return s.book.Shard(l.name, shard, cpu) }
		}
		engine.Sink = func(shard int, page *metrics.Shard) (packet.Sink, error) {
			sink, err := s.outputs.Open(l.output, shard, page, maxRecord(l.maxDatagram))
			if err != nil {
				err = l.misfit("output", err)
			}
			return sink, err
		}
		engine.Event = func(e shard.Event) { s.groupEvent(l.name, e) }
		g, err := shard.Listen(engine)
		if err != nil {
			return l.locate(err)
		}
		s.groups = append(s.groups, g)
		page := g.Listener()
		page.Name, page.Protocol = l.name, l.protocol
		s.ledger.Add(page)
	}
	var err error
	s.web, err = listenWeb(s.config, s.ledger.Handler(thisBuild().labels(), dnsCollector{s}), s.log, from.web(s.config.http))
	if errors.Is(err, unix.EADDRINUSE) && s.mayGoWithoutWeb() {
		s.log.Warn().Err(err).Str("remedy", "give each process that shares a port its own --http ADDR").
			Msg("status and metrics are off: the default HTTP address is another process's")
		return nil
	}
	return err
}

// openBook makes the counters' memory, where another process is to have it.
func (s *server) openBook() (err error) {
	if s.config.takeover == "" && !s.service.unit.Managed() {
		return nil
	}
	var layouts []metrics.Layout
	for _, l := range s.config.listeners {
		engine, err := l.engine().Complete()
		if err != nil {
			return l.locate(err)
		}
		layouts = append(layouts, metrics.Layout{Listener: l.name, Shards: engine.Shards, Batch: engine.Batch})
	}
	if s.book, err = metrics.NewBook(layouts...); err != nil {
		return err
	}
	claim, err := takeover.NewClaim(s.book.File(), s.book.Epoch())
	if err != nil {
		return err
	}
	s.claims = append(s.claims, claim)
	return nil
}

// mayGoWithoutWeb: processes that share a port would all want the default
// address, of which there is one.
func (s *server) mayGoWithoutWeb() bool {
	_, asked := s.config.given["http"]
	return !asked && slices.ContainsFunc(s.config.listeners, func(l *listener) bool { return l.join })
}

// maxRecord is the longest record of a datagram of size bytes: each of them
// escaped as \u00XX, and what surrounds them.
func maxRecord(size int) int { return 6*size + 4096 }

func (s *server) announce(l *listener, g *shard.Group) {
	var cpus []int
	for _, page := range g.Listener().Shards {
		cpus = append(cpus, page.CPU)
	}
	asked, granted := g.ReceiveBuffer()
	s.log.Info().Str("listener", l.name).Str("address", g.Listener().Address).Str("protocol", l.protocol).
		Int("shards", len(cpus)).Ints("cpus", cpus).Str("steer", g.Listener().Steering().Mode).Str("receive_buffer", formatSize(granted)).Str("output", l.output).
		Msg("listening")
	if l.gro {
		s.log.Warn().Str("listener", l.name).Msg("with gro the kernel counts a train that it drops as one datagram: losses are at least what it says")
	}
	if l.output == "stdout" && isNull(os.Stdout) {
		s.log.Warn().Str("listener", l.name).Msg("standard output is closed or the null device: records are delivered to nobody")
	}
	if l.steer == steer.Auto && !l.join && g.Listener().Steering().Mode != string(steer.Auto) {
		s.log.Warn().Str("listener", l.name).Str("remedy", "udpshard doctor").
			Msg("the kernel takes no steering program: its own hash spreads datagrams, and skew stays")
	}
	if granted < asked {
		s.log.Warn().Str("listener", l.name).Str("asked", formatSize(asked)).Str("granted", formatSize(granted)).
			Str("remedy", fmt.Sprintf("sysctl -w net.core.rmem_max=%d", asked)).
			Msg("the receive buffer is smaller than asked: bursts will be dropped sooner")
	}
}

// run serves until it is told to stop or can't go on, and drains.
func (s *server) run(signals signals) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, len(s.groups))
	kept := s.service.keep(s, readPause)
	s.read(ctx, ended)
	s.web.serve()
	s.service.ready(s, kept)
	s.stats = newStats(s.ledger, s.log, s.config.statsInterval)
	if s.takeover != nil {
		go func() {
			if err := s.takeover.Serve(ctx, s.handover); err != nil && ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				s.log.Error().Err(err).Msg("nobody can take over any more")
			}
		}()
	}

	err := s.wait(ctx, signals, ended)
	s.handover.close()
	switch {
	case errors.Is(err, errHandedOver):
		return s.leave("handed over: another process reads on where this one stopped")
	case errors.Is(err, shard.ErrReplaced):
		return s.makeWay(err, ended)
	}
	return errors.Join(err, s.drain(stop, signals.stop, ended))
}

// read has every group read, until ctx ends or it yields.
func (s *server) read(ctx context.Context, ended chan<- error) {
	for _, g := range s.groups {
		go func() { ended <- g.Run(ctx) }()
	}
}

// errHandedOver: another process has all that this one had.
var errHandedOver = errors.New("handed over")

// wait returns when it is time to drain, with what forces it, or to leave.
func (s *server) wait(ctx context.Context, signals signals, ended chan error) error {
	var passed <-chan error
	stop := signals.stop
	for {
		select {
		case <-signals.reload:
			s.service.try("a reload", s.service.unit.Reloading())
			s.reload()
			s.service.try("a reload", s.service.unit.Ready(s.summary()))
		case sig := <-stop:
			if passed = s.pass(ctx, sig); passed == nil {
				s.log.Info().Stringer("signal", sig).Msg("draining")
				return nil
			}
			s.watchSecond(signals.stop)
			stop = nil
		case err := <-passed:
			if passed = nil; err != nil {
				s.log.Warn().Err(err).Msg("no standby has taken over: draining")
				return nil
			}
		case err := <-ended:
			ended <- err // drain counts them
			if errors.Is(err, shard.ErrReplaced) {
				return err
			}
			if err != nil {
				s.log.Error().Err(err).Msg("a shard can't go on: draining the others")
				return nil // drain returns it
			}
		case err := <-s.outputs.Broken():
			return err
		case tick := <-s.stats.tick():
			s.stats.log(tick)
		case done := <-s.handover.asked:
			late, cancel := context.WithTimeout(ctx, s.config.drainTimeout)
			done <- s.yield(late, ended)
			cancel()
			if <-s.handover.ended {
				return errHandedOver
			}
			s.read(ctx, ended)
		}
	}
}

func (s *server) outputEvent(e output.Event) {
	failing := e.Failing.Round(time.Millisecond)
	switch {
	case e.Reopen && e.Err == nil:
		s.log.Info().Str("output", e.Destination).Msg("output was opened anew")
	case e.Reopen:
		s.log.Error().Err(e.Err).Str("output", e.Destination).
			Msg("output can't be opened anew: what was open stays in use, and it is tried again")
	case e.Err == nil:
		s.log.Info().Str("output", e.Destination).Stringer("failed_for", failing).Msg("output works again")
	default:
		s.log.Error().Err(e.Err).Str("output", e.Destination).Stringer("failing_for", failing).
			Msg("output fails: records wait, and it is tried again")
	}
}
