package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
	"github.com/udpshard/udpshard/shard"
	"github.com/udpshard/udpshard/shard/takeover"
)

// again is an error after which it pays to begin anew: things have changed
// meanwhile, such as which process is active.
type again struct {
	error
	met *legacy // of a process that has answered; nil: none
}

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
	stopped, heard, over := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(heard)
		select {
		case sig := <-signals.stop:
			stopped <- sig
			cancel()
			exitOnSecond(signals.stop, over)
		case <-over:
		}
	}()
	defer func() {
		close(over)
		<-heard
		select {
		case sig := <-stopped: // too late for this, and in time for run
			select {
			case signals.stop <- sig:
			default: // others wait there
			}
		default:
		}
	}()
	// What there is of the process that has served last, as far as this one knows:
	// it is let go only when another one has answered.
	var last *legacy
	defer func() { last.close() }()
	var before *config // the settings that a reload has replaced; nil: none
	ever := false      // it has stood by
	zones := make(map[string]*dns.Zones)
	for began, told := time.Now(), false; ; {
		setLevel(c.logLevel)
		s := newServer(f, c, v)
		s.zones = zones
		attempt := time.Now()
		var err error
		if last, err = s.predecessor(ctx, last); err == nil {
			err = s.start(ctx, signals.reload, last)
		}
		if err == nil {
			return s, nil
		}
		s.discard()
		var retry again
		more := errors.As(err, &retry)
		last = last.follow(retry.met)
		select {
		case sig := <-stopped:
			v.log.Info().Stringer("signal", sig).Msg("stopped before it was active")
			return nil, nil
		default:
		}
		if s.stood {
			before, ever = nil, true
		}
		pause := againPause
		switch {
		case errors.Is(err, errReloaded):
			before, c = c, s.config
		case !more && before != nil:
			v.log.Error().Err(err).Msg("reload refused: the settings before stay")
			before, c = nil, before
		case !more && !ever:
			return nil, err
		case !more: // it has stood by with these settings: a file may be there again, or right
			retry.error = err
			pause = listenAgain
		}
		if s.stood || time.Since(attempt) > againPatience { // it was something else before
			began, told = time.Now(), false
		}
		if time.Since(began) > againPatience {
			if !c.standby {
				return nil, retry.error
			}
			if !told {
				told = true
				v.log.Warn().Err(err).Msg("can't stand by yet: trying again")
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// follow is what there is to go on with after an attempt: of who was met, or else
// what there was before.
func (l *legacy) follow(met *legacy) *legacy {
	switch {
	case met != nil:
		l.close()
		return met
	case l == nil:
		return nil
	}
	l.disconnect()
	if l.sought && l.book.PassedOn() {
		l.close()
		return nil
	}
	return l
}

// predecessor is who serves now. Where nobody does it is last, the process that
// did, or what that has left with the service manager. A standby that has last
// does not wait long for who serves: it can watch it by that.
func (s *server) predecessor(ctx context.Context, last *legacy) (*legacy, error) {
	standsBy := last != nil && s.config.standby
	if last != nil && last.conn != nil {
		return last, nil
	}
	if standsBy {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, meetPatience)
		defer cancel()
	}
	from, err := dialLegacy(ctx, s.config, s.log)
	switch {
	case from != nil:
		last.close()
		return from, nil
	case standsBy:
		return last, nil
	case err != nil || last != nil:
		return last, err
	}
	return s.service.legacy(s.config)
}

// start opens all there is, and where another process serves it now takes it
// over. When ctx ends first, the other goes on.
func (s *server) start(ctx context.Context, reload <-chan os.Signal, from *legacy) error {
	err := s.open(from)
	switch {
	case err != nil:
		err = from.explain(err)
	case from == nil:
		err = s.listen(takeover.Listen)
	case s.config.standby && (from.conn != nil || from.sought):
		err = s.standBy(ctx, reload, from)
	case from.conn == nil:
		err = s.goOn(ctx, from)
	default:
		err = s.takeOver(ctx, from)
	}
	if err != nil {
		if (from == nil || from.conn == nil) && s.config.takeover != "" && isTaken(err) {
			err = again{error: err} // somebody was faster, and answers soon
		}
		return err
	}
	if err := s.listenStreams(from); err != nil {
		if from == nil {
			return err
		}
		s.log.Error().Err(err).Msg("queries over TCP are not answered") // those over UDP wait, and there is no way back
	}
	s.ledger.SetRole(metrics.Active)
	for i, l := range s.opened {
		s.announce(l, s.groups[i])
	}
	return nil
}

// listen takes the takeover path, if there is one.
func (s *server) listen(how func(path, version string) (*takeover.Server, error)) error {
	if s.config.takeover != "" {
		server, err := how(s.config.takeover, thisBuild().version)
		if err != nil {
			return fmt.Errorf("takeover: %w", err)
		}
		s.takeover = server
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
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.closeDNS(soon)
	s.outputs.Close(soon) // there is nothing to write
	s.web.shutDown()
	if s.takeover != nil {
		s.takeover.Close()
	}
	s.release()
	s.service.look(nil)
	if s.book != nil {
		s.book.Close()
	}
}

// passOn says in all counters that this process is an owner of that another one goes
// on from here: whoever has not met that one can't take this one's end for a death.
func (s *server) passOn() {
	for _, claim := range s.claims {
		memory, err := claim.Counters()
		if err != nil {
			continue // its end is in order all the same
		}
		if book, err := metrics.OpenBook(memory); err == nil {
			book.PassOn()
			book.Close()
		}
	}
}

// release gives up the right to be active.
func (s *server) release() {
	for _, claim := range s.claims {
		claim.Release()
	}
}
