package selftest

import (
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/format"
)

// trial is one load at one rate, and what became of it.
type trial struct {
	Asked     float64       `json:"asked_rate"` // datagrams a second; 0 is flat out
	Rate      float64       `json:"rate"`       // as achieved
	Sent      uint64        `json:"sent"`
	Received  uint64        `json:"received"`
	Kernel    uint64        `json:"kernel"` // dropped at the sockets
	Bytes     uint64        `json:"bytes"`  // of payload, sent
	Elapsed   time.Duration `json:"-"`
	SenderCPU time.Duration `json:"-"`
	// ReceiveCPU is what all shards used.
	ReceiveCPU time.Duration `json:"-"`
	Shards     []shardTrial  `json:"shards"`
	// Backlog is the part of the time in which a shard's queue was more
	// than a tenth full: beyond half of it, the shard is slower than the
	// sender, and only the buffer hides it.
	Backlog float64 `json:"backlog"`
	Verdict outcome `json:"outcome"`
}

// shardTrial is one shard's part of a trial.
type shardTrial struct {
	Shard int     `json:"shard"`
	CPU   int     `json:"cpu"`
	Share float64 `json:"share"` // of all datagrams that came to the sockets
	Busy  float64 `json:"busy"`  // of one core
	// Waited is the part of the time in which the shard was ready to run
	// and something else had its core.
	Waited float64 `json:"waited"`
}

type outcome string

const (
	lossFree outcome = "loss-free"
	lossy    outcome = "lost datagrams"
	behind   outcome = "fell behind"
	unsent   outcome = "nothing was sent" // the sender got no CPU
)

// judge says what a trial shows of the receiver.
func (t *trial) judge() {
	switch {
	case t.Sent == 0:
		t.Verdict = unsent
	case t.Kernel > 0 || t.Received < t.Sent:
		t.Verdict = lossy
	case t.Backlog > 0.5:
		t.Verdict = behind
	default:
		t.Verdict = lossFree
	}
}

// short: the sender did not reach the rate that it was asked for.
func (t trial) short() bool { return t.Asked > 0 && t.Rate < 0.97*t.Asked }

// busiest returns the shard that used most of its core.
func (t trial) busiest() (busiest shardTrial) {
	for _, s := range t.Shards {
		if s.Busy >= busiest.Busy {
			busiest = s
		}
	}
	return busiest
}

// search finds the highest loss-free rate by trials.
type search struct {
	// try makes one trial.
	try func(rate float64, length time.Duration) (trial, error)
	// enough says that there is no time for so much more.
	enough func(more time.Duration) bool
	length time.Duration // of a trial

	trials []trial
	best   *trial // the loss-free one at the highest rate, or the one that held
	bad    *trial // of those that lost, the one at the lowest rate
	held   bool   // best lasted for double the time, after the search
	slow   bool   // the sender did not reach the rate that the search wanted to try last
}

const (
	firstRate = 20_000 // a rate that any host holds: it warms up
	closeness = 1.03   // where the search ends: trials repeat no better
)

// errUnsent ends a search whose sender gets no CPU again and again.
var errUnsent = errors.New("the sender sent nothing")

// run searches, and is content with what it has when the sender sends no more.
func (s *search) run() error {
	err := s.narrow()
	if errors.Is(err, errUnsent) && (s.best != nil || s.bad != nil) {
		s.settle()
		return nil
	}
	return err
}

// narrow ramps up, goes flat out, and halves the distance between the highest
// rate that lost nothing and the lowest that did.
func (s *search) narrow() error {
	for _, rate := range []float64{firstRate, 5 * firstRate, 0} {
		if t, err := s.attempt(rate, s.length); err != nil {
			return err
		} else if s.book(t); t.Verdict != lossFree {
			break
		}
	}
	for low := 0.0; s.bad != nil && s.bad.Rate > low*closeness && !s.enough(4*s.length); {
		if s.best != nil {
			low = max(low, s.best.Rate)
		}
		t, err := s.attempt(float64(roundRate((low+s.bad.Rate)/2)), s.length)
		if err == nil && t.Verdict != lossFree && !s.enough(4*s.length) {
			// Something else on the host may have caused it.
			second, failed := s.attempt(t.Asked, s.length)
			if second.Verdict == lossFree {
				t = second
			}
			if err = failed; errors.Is(err, errUnsent) {
				s.book(t)
			}
		}
		if err != nil {
			return err
		}
		if s.book(t); t.Verdict == lossFree {
			if s.slow = t.short(); s.slow && t.Rate <= low*closeness {
				break
			}
			low = max(low, t.Rate)
		}
	}
	if s.best == nil {
		return nil
	}
	return s.confirm()
}

// confirm holds the best rate for double the time, and goes down until one
// holds.
func (s *search) confirm() error {
	rate := s.best.Rate
	if s.bad == nil {
		rate = 0 // flat out it was
	}
	for !s.enough(2 * s.length) {
		t, err := s.attempt(rate, 2*s.length)
		if err != nil {
			return err
		}
		if t.Verdict == lossFree {
			s.best, s.held = &t, true
			return nil
		}
		s.book(t)
		rate = 0.93 * t.Rate
	}
	s.settle()
	return nil
}

// settle takes the best loss-free rate below every lossy one, where none was
// confirmed.
func (s *search) settle() {
	if s.bad == nil {
		return
	}
	s.best = nil
	for _, t := range s.trials {
		if t.Rate < s.bad.Rate {
			s.book(t)
		}
	}
}

// between names the bounds of the search so far.
func (s *search) between() string {
	if s.bad == nil {
		return ""
	}
	low := 0.0
	if s.best != nil {
		low = s.best.Rate
	}
	if low >= s.bad.Rate/closeness {
		return ""
	}
	return fmt.Sprintf(" (between %s and %s)", format.Count(roundRate(low)), format.Count(roundRate(s.bad.Rate)))
}

// attempt makes a trial, and others where nothing was sent.
func (s *search) attempt(rate float64, length time.Duration) (trial, error) {
	const most = 3
	for n := 1; ; n++ {
		t, err := s.try(rate, length)
		if err != nil {
			return t, err
		}
		t.judge()
		s.trials = append(s.trials, t)
		switch {
		case t.Verdict != unsent:
			return t, nil
		case n == most || s.enough(length):
			return t, errUnsent
		}
	}
}

func (s *search) book(t trial) {
	switch {
	case t.Verdict == unsent: // says nothing
	case t.Verdict == lossFree && (s.best == nil || t.Rate > s.best.Rate):
		s.best = &t
	case t.Verdict != lossFree && (s.bad == nil || t.Rate < s.bad.Rate):
		s.bad = &t
	}
}
