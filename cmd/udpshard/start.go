package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/shard"
	"github.com/udpshard/udpshard/shard/takeover"
)

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
	var last *legacy // of the process that has served last, as far as this one knows
	defer func() { last.close() }()
	for began, told := time.Now(), false; ; {
		s := newServer(f, c, v)
		attempt := time.Now()
		var err error
		if last, err = s.predecessor(ctx, last); err == nil {
			err = s.start(ctx, signals.reload, last)
		}
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
		last.outlive()
		if s.met != nil {
			last.close()
			last = s.met
		}
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
		if errors.Is(err, errReloaded) { // it may be another one that is to be asked
			last.close()
			last = nil
		}
		c = s.config
		time.Sleep(againPause)
	}
}

// predecessor is who serves now. Where nobody does it is last, the process that
// did, or what that has left with the service manager.
func (s *server) predecessor(ctx context.Context, last *legacy) (*legacy, error) {
	if last != nil && last.conn != nil {
		return last, nil
	}
	from, err := dialLegacy(ctx, s.config, s.log)
	switch {
	case err != nil || from == nil && last != nil:
		return last, err
	case from != nil:
		last.close()
		return from, nil
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
	soon, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.closeDNS(soon)
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
