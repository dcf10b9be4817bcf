package server

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/config"
	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/succession"
	"github.com/udpshard/udpshard/internal/logging"
	"github.com/udpshard/udpshard/metrics"
	"github.com/udpshard/udpshard/packet/dns"
)

// startup is the process before it is active: any number of attempts to start, between which the
// active process and the settings may change.
type startup struct {
	Options
	config   *config.Config
	lastGood *config.Config       // the settings before a reload, until config has proved good; nil: none
	reloaded metrics.ConfigStatus // result of the last reload; while lastGood is set: of the previous reload
	service  *service
	signals  signals

	predecessor *succession.Predecessor // the process that was active last; replaced by the next
	zones       map[string]*dns.Zones   // read by earlier attempts; by names of listeners
	wasStandby  bool                    // an attempt has become a standby

	failingSince time.Time // start of a row of failures; zero: no attempt has failed
	logged       bool      // the row of failures is in the log
}

const (
	// retryPause is the time between two attempts.
	retryPause = 10 * time.Millisecond
	// retryPatience is how long attempts may fail because the port is in use and no process listens
	// at the takeover path: for a moment in each takeover.
	retryPatience = time.Second
	// standbyRetryPause is the time between two attempts after a failure of a standby.
	standbyRetryPause = time.Second
)

// run returns an active server, or nil and the error. Both are nil after a signal to stop.
func (c *startup) run() (*server, error) {
	ctx, done := c.signals.contextUntilStop()
	defer done()
	defer func() { c.predecessor.Close() }()
	c.zones = make(map[string]*dns.Zones)
	c.reloaded = c.reloaded.After(nil, time.Now())
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
			s.changeRole(handoff.StandbyEnded)
			c.lastGood, c.wasStandby = nil, true
			c.reloaded = s.ledger.Config()
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

// tryStart returns an active server, or an error and the discarded server.
func (c *startup) tryStart(ctx context.Context) (*server, error) {
	logging.SetLevel(c.config.LogLevel)
	s := newServer(c.Options, c.config, c.service, c.signals)
	s.dns.zones = c.zones
	s.ledger.SetConfig(c.reloaded)
	if c.lastGood != nil {
		s.setReloadResult(nil)
	}
	var err error
	if c.predecessor, err = s.findPredecessor(ctx, c.predecessor); err == nil {
		err = s.start(ctx, c.predecessor)
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

// chooseRetry chooses the settings of the next attempt after the failure of s, and the pause before
// the attempt. With a final error no attempt follows.
func (c *startup) chooseRetry(
	s *server, began time.Time, err error,
) (pause time.Duration, final error) {
	// An attempt longer than retryPatience begins a new row of failures. The first attempt counts
	// from its end: the attempt may have waited for an active process.
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
		c.reloaded = c.reloaded.After(err, time.Now())
	case c.wasStandby: // the settings were good: for example a missing file may come back
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
