package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/packet/dns"
)

// startup is this process until it serves. It makes as many attempts as it takes:
// who serves, and the settings, may change meanwhile.
type startup struct {
	Options
	config   *config.Config
	lastGood *config.Config // the settings that a reload has replaced, until the new ones have proved good; nil: none
	service  *service
	signals  signals

	// last is what there is of the process that has served last, as far as this one
	// knows: it is let go only when another one has answered.
	predecessor *succession.Predecessor
	zones       map[string]*dns.Zones // that an attempt has read
	wasStandby  bool                  // it has stood by

	failingSince time.Time // since when attempts fail for the same reason, as far as one can tell; zero: none has
	logged       bool      // that they do
}

const (
	// againPause is how long to wait before that.
	retryPause = 10 * time.Millisecond
	// againPatience is for how long that may go on: nobody listens at the takeover
	// path while the port is taken, since somebody is about to take over.
	retryPatience = time.Second
	// stoodPause is how long a standby waits before it starts again after a failure.
	standbyRetryPause = time.Second
)

// run returns a server that is active, or nil with the error; without one where
// a signal to stop came first.
func (c *startup) run() (*server, error) {
	ctx, done := c.signals.contextUntilStop()
	defer done()
	defer func() { c.predecessor.Close() }()
	c.zones = make(map[string]*dns.Zones)
	for {
		began := time.Now()
		s, err := c.tryStart(ctx)
		if err == nil {
			s.loop.predecessor, c.predecessor = c.predecessor, nil
			return s, nil
		}
		if by, ok := context.Cause(ctx).(stopError); ok {
			c.service.log.Info().Stringer("signal", by).Msg("stopped before the start finished")
			return nil, nil
		}
		if s.loop.wasStandby {
			s.change(handoff.StandbyEnded)
			c.lastGood, c.wasStandby = nil, true
		}
		pause, err := c.chooseRetry(s, began, err)
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// tryStart returns a server that is active, or the error with what is left of one.
func (c *startup) tryStart(ctx context.Context) (*server, error) {
	setLevel(c.config.LogLevel)
	s := newServer(c.Options, c.config, c.service)
	s.dns.zones = c.zones
	var err error
	if c.predecessor, err = s.findPredecessor(ctx, c.predecessor); err == nil {
		err = s.start(ctx, c.signals.reload, c.predecessor)
	}
	if err == nil {
		return s, nil
	}
	s.discard()
	var retry succession.RetryError
	errors.As(err, &retry)
	c.predecessor = c.predecessor.AfterFailure(retry.Answered)
	return s, err
}

// chooseRetry chooses the settings of the attempt after one that has failed, and how long
// to wait before it; an error is that there is none.
func (c *startup) chooseRetry(s *server, began time.Time, err error) (pause time.Duration, final error) {
	// Where an attempt took long it was something else before. The first one may have waited for
	// who served then.
	if c.failingSince.IsZero() || time.Since(began) > retryPatience {
		c.failingSince, c.logged = time.Now(), false
	}
	pause = retryPause
	switch {
	case errors.Is(err, errReloaded):
		c.lastGood, c.config = c.config, s.config
	case errors.As(err, new(succession.RetryError)):
	case c.lastGood != nil:
		logRefused(c.service.log, err)
		c.lastGood, c.config = nil, c.lastGood
	case c.wasStandby: // with these settings: a file may be there again, or right
		pause = standbyRetryPause
	default:
		return 0, err
	}
	if time.Since(c.failingSince) <= retryPatience {
		return pause, nil
	}
	if !c.config.Standby {
		return 0, err
	}
	if !c.logged {
		c.logged = true
		c.service.log.Warn().Err(err).Msg("standby not possible yet")
	}
	return pause, nil
}
