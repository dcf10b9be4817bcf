package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/packet/dns"
)

// candidate is this process until it serves. It makes as many attempts as it takes:
// who serves, and the settings, may change meanwhile.
type candidate struct {
	Options
	config  *config.Config
	before  *config.Config // the settings that a reload has replaced, until the new ones have proved good; nil: none
	service *service
	signals signals

	// last is what there is of the process that has served last, as far as this one
	// knows: it is let go only when another one has answered.
	last  *legacy
	zones map[string]*dns.Zones // that an attempt has read
	stood bool                  // it has stood by

	failing time.Time // since when attempts fail for the same reason, as far as one can tell; zero: none has
	told    bool      // that they do
}

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
	// stoodPause is how long a standby waits before it starts again after a failure.
	stoodPause = time.Second
)

// elect returns a server that is active, or nil with the error; without one where
// a signal to stop came first.
func (c *candidate) elect() (*server, error) {
	ctx, done := c.signals.untilStop()
	defer done()
	defer func() { c.last.close() }()
	c.zones = make(map[string]*dns.Zones)
	for {
		began := time.Now()
		s, err := c.attempt(ctx)
		if err == nil {
			s.leftovers, c.last = c.last, nil
			return s, nil
		}
		if by, ok := context.Cause(ctx).(stopped); ok {
			c.service.log.Info().Stringer("signal", by).Msg("stopped before it was active")
			return nil, nil
		}
		if s.stood {
			c.before, c.stood = nil, true
		}
		pause, err := c.next(s, began, err)
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// attempt returns a server that is active, or the error with what is left of one.
func (c *candidate) attempt(ctx context.Context) (*server, error) {
	setLevel(c.config.LogLevel)
	s := newServer(c.Options, c.config, c.service)
	s.zones = c.zones
	var err error
	if c.last, err = s.predecessor(ctx, c.last); err == nil {
		err = s.start(ctx, c.signals.reload, c.last)
	}
	if err == nil {
		return s, nil
	}
	s.discard()
	var retry again
	errors.As(err, &retry)
	c.last = c.last.follow(retry.met)
	return s, err
}

// next chooses the settings of the attempt after one that has failed, and how long
// to wait before it; an error is that there is none.
func (c *candidate) next(s *server, began time.Time, err error) (pause time.Duration, final error) {
	// Where an attempt took long it was something else before. The first one may have waited for
	// who served then.
	if c.failing.IsZero() || time.Since(began) > againPatience {
		c.failing, c.told = time.Now(), false
	}
	pause = againPause
	switch {
	case errors.Is(err, errReloaded):
		c.before, c.config = c.config, s.config
	case errors.As(err, new(again)):
	case c.before != nil:
		tellRefused(c.service.log, err)
		c.before, c.config = nil, c.before
	case c.stood: // with these settings: a file may be there again, or right
		pause = stoodPause
	default:
		return 0, err
	}
	if time.Since(c.failing) <= againPatience {
		return pause, nil
	}
	if !c.config.Standby {
		return 0, err
	}
	if !c.told {
		c.told = true
		c.service.log.Warn().Err(err).Msg("can't stand by yet: trying again")
	}
	return pause, nil
}

// follow is what there is to go on with after an attempt: of who was met, or else
// what there was before.
func (l *legacy) follow(met *legacy) *legacy {
	switch {
	case met != nil:
		met.replaces(l)
		return met
	case l == nil:
		return nil
	}
	l.disconnect()
	l.followHeir()
	if l.sought && l.book.HandedOver() {
		l.close()
		return nil
	}
	return l
}
