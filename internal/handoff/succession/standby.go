package succession

import (
	"context"
	"errors"
	"time"

	"github.com/udpshard/udpshard/internal/handoff"
	"github.com/udpshard/udpshard/internal/handoff/takeover"
)

const (
	redialPause    = 5 * time.Millisecond // between two attempts to reach the active process
	maxRedialPause = time.Second          // between attempts that fail for other reasons than silence
	// RedialTimeout is how long a standby waits for the answer of a new active process before it
	// watches that process by the sockets and counters that it has: the least --standby-after.
	RedialTimeout = 50 * time.Millisecond
)

// Find returns the process that is active now, or else last. A standby that has last does not wait
// long for the active process: it can watch that process through last.
func (s *Succession) Find(ctx context.Context, last *Predecessor) (*Predecessor, error) {
	if last.Connected() {
		return last, nil
	}
	watches := last != nil && s.Standby
	if watches {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, RedialTimeout)
		defer cancel()
	}
	p, err := s.Dial(ctx)
	switch {
	case p != nil:
		p.replace(last)
		return p, nil
	case watches:
		return last, nil
	}
	return last, err
}

// WaitPredecessor waits for the message of a connected predecessor that this process is to take
// over. Without a connection it dials until the active process answers. It returns nil when the
// predecessor has stopped reading for this process.
func (s *Succession) WaitPredecessor(ctx context.Context, p *Predecessor) error {
	if p.conn == nil {
		return s.redial(ctx, p)
	}
	return p.conn.Wait(ctx)
}

// Register lets the predecessor know the memory of this process, for other standbys.
func (s *Succession) Register(p *Predecessor) {
	if p.conn != nil {
		p.conn.SetMemory(s.Memory())
	}
}

// redial dials until the active process answers, which it returns as a RetryError. It returns
// ErrDisconnected when no process is alive that could be the active one, and else the cause of
// the end of ctx.
func (s *Succession) redial(ctx context.Context, p *Predecessor) error {
	logged := false
	for pause := redialPause; ; {
		answered, err := s.dialBriefly(ctx)
		switch {
		case answered != nil:
			return RetryError{takeover.ErrRedirected, answered}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case p.Counters.HandedOver():
			return Retry(errHandedOverElsewhere)
		case (err == nil || isSilent(err)) && p.hasEnded():
			return takeover.ErrDisconnected
		case err != nil && !isSilent(err) && !errors.As(err, new(RetryError)):
			pause = min(2*pause, maxRedialPause)
			if !logged {
				logged = true
				s.log.Warn().Err(err).Str("effect", "the standby watches the previous active process").Msg("standby connection failed")
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// dialBriefly dials for at most maxRedialPause: a stopped process has the socket at the takeover
// path, and does not answer.
func (s *Succession) dialBriefly(ctx context.Context) (*Predecessor, error) {
	ctx, cancel := context.WithTimeout(ctx, maxRedialPause)
	defer cancel()
	return s.Dial(ctx)
}

// isSilent returns whether a process has the takeover path and does not answer there.
func isSilent(err error) bool {
	return errors.Is(err, takeover.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded)
}

// Watch is how a standby finds out that its predecessor is stalled. It is for one goroutine.
type Watch struct {
	Ticker       *time.Ticker // of the calls of Check
	predecessor  *Predecessor
	epoch        uint64
	standbyAfter time.Duration
	timeout      time.Duration
	detectors    map[string]*handoff.StallDetector // by listener
}

// Watch returns a Watch over the predecessor. Its ticker has to be stopped.
func (s *Succession) Watch(p *Predecessor) *Watch {
	w := &Watch{predecessor: p, epoch: p.Counters.Epoch(), standbyAfter: s.StandbyAfter,
		detectors: make(map[string]*handoff.StallDetector)}
	if s.StandbyAfter == 0 { // no stall is long enough: a change of the owner is all to see
		w.Ticker = time.NewTicker(syncInterval)
		return w
	}
	for _, counted := range p.Counters.Listeners() {
		for _, offered := range p.Offer.Listeners {
			if offered.Name == counted.Name {
				w.detectors[offered.Name] = handoff.NewStallDetector(counted.Shards, offered.Sockets, s.StandbyAfter)
			}
		}
	}
	w.Ticker = time.NewTicker(handoff.CheckInterval(s.StandbyAfter))
	return w
}

// Check returns a description of a stalled shard, "" without one, and ErrRedirected if another
// standby has taken over. A stopped predecessor does not tell its standbys.
func (w *Watch) Check(now time.Time) (stalled string, err error) {
	if w.predecessor.Counters.Epoch() != w.epoch {
		return "", takeover.ErrRedirected
	}
	w.predecessor.endPreviousRegistration()
	w.timeout = w.predecessor.Counters.Takeovers().Patience(now, w.standbyAfter)
	for listener, detector := range w.detectors {
		detector.SetTimeout(w.timeout)
		if text := detector.Check(now); text != "" {
			stalled = "listener " + listener + " " + text
		}
	}
	return stalled, nil
}
