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
	maxRedialPause = time.Second          // between attempts with errors except silence
	// RedialTimeout is how long a standby waits for the answer of a new active process before the
	// standby watches that process by the sockets and counters of the predecessor: the least
	// --standby-after.
	RedialTimeout = 50 * time.Millisecond
)

// Find returns the process that is active now, or else last. A standby with last waits only
// RedialTimeout for the active process, which last is enough to watch.
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

// WaitPredecessor waits for the request of a connected predecessor to take over, and returns nil
// when the predecessor has stopped reading for this process. Without a connection WaitPredecessor
// dials until the active process answers.
func (s *Succession) WaitPredecessor(ctx context.Context, p *Predecessor) error {
	if p.conn == nil {
		return s.redial(ctx, p)
	}
	return p.conn.Wait(ctx)
}

// Register sends the memory of this process's counters to the predecessor, for peer standbys.
func (s *Succession) Register(p *Predecessor) {
	if p.conn != nil {
		p.conn.SetMemory(s.Memory())
	}
}

// redial dials until the active process answers: then the error is a RetryError with that process.
// The error is ErrDisconnected when no process is alive that could be active, and else the cause of
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
				s.log.Warn().Err(err).Str("effect", "the standby watches the previous active process").
					Msg("standby connection failed")
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

// isSilent returns whether a process has the takeover path and does not answer.
func isSilent(err error) bool {
	return errors.Is(err, takeover.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded)
}

// Watch finds stalled shards of the predecessor of a standby. A Watch is for one goroutine.
type Watch struct {
	Ticker       *time.Ticker // of the calls of Check
	predecessor  *Predecessor
	epoch        uint64
	standbyAfter time.Duration
	timeout      time.Duration
	detectors    map[string]*handoff.StallDetector // by listener
}

// Watch returns a Watch over the predecessor. The caller stops Ticker.
func (s *Succession) Watch(p *Predecessor) *Watch {
	w := &Watch{predecessor: p, epoch: p.Counters.Epoch(), standbyAfter: s.StandbyAfter,
		detectors: make(map[string]*handoff.StallDetector)}
	if s.StandbyAfter == 0 { // no stall is long enough: Check sees changes of the owner only
		w.Ticker = time.NewTicker(syncInterval)
		return w
	}
	for _, counted := range p.Counters.Listeners() {
		for _, offered := range p.Offer.Listeners {
			if offered.Name == counted.Name {
				w.detectors[offered.Name] = handoff.NewStallDetector(
					counted.Shards, offered.Sockets, s.StandbyAfter)
			}
		}
	}
	w.Ticker = time.NewTicker(handoff.CheckInterval(s.StandbyAfter))
	return w
}

// Check returns a description of a stalled shard, or "". The error is ErrRedirected if a peer
// standby has taken over: a stopped predecessor sends no redirect to standbys.
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
