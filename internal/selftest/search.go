package selftest

import (
	"errors"
	"fmt"
	"time"

	"github.com/udpshard/udpshard/internal/format"
)

// trial is a load at one rate, and its result.
type trial struct {
	Asked     float64       `json:"asked_rate"` // datagrams a second; 0 is flat out
	Rate      float64       `json:"rate"`       // as achieved
	Sent      uint64        `json:"sent"`
	Received  uint64        `json:"received"`
	Kernel    uint64        `json:"kernel"` // dropped at the sockets
	Bytes     uint64        `json:"bytes"`  // of payload, sent
	Elapsed   time.Duration `json:"-"`
	SenderCPU time.Duration `json:"-"`
	// ReceiveCPU is the CPU time of all shards.
	ReceiveCPU time.Duration `json:"-"`
	Shards     []shardTrial  `json:"shards"`
	// Backlog is the part of the time in which a shard's queue was more than a tenth full. Above
	// half, the shard is slower than the sender, and only the buffer prevents losses.
	Backlog float64 `json:"backlog"`
	Verdict outcome `json:"outcome"`
}

// shardTrial is the part of a shard in a trial.
type shardTrial struct {
	Shard int     `json:"shard"`
	CPU   int     `json:"cpu"`
	Share float64 `json:"share"` // of all datagrams that reached the sockets
	Busy  float64 `json:"busy"`  // of one CPU
	// Waited is the part of the time in which the shard was ready to run while another thread had
	// its CPU.
	Waited float64 `json:"waited"`
}

type outcome string

const (
	lossFree outcome = "loss-free"
	lossy    outcome = "lost datagrams"
	behind   outcome = "fell behind"
	unsent   outcome = "nothing was sent" // the sender got no CPU
)

// judge sets the outcome of a trial.
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

// isShort reports whether the sender was slower than asked.
func (t trial) isShort() bool { return t.Asked > 0 && t.Rate < 0.97*t.Asked }

// busiest returns the shard that used most of its CPU.
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
	// try runs a trial.
	try func(rate float64, length time.Duration) (trial, error)
	// noTimeFor reports whether the time left is too short for a duration.
	noTimeFor func(more time.Duration) bool
	length    time.Duration // of a trial

	trials []trial
	best   *trial // the loss-free trial with the highest rate, or the trial that confirmed a rate
	bad    *trial // the trial with losses with the lowest rate
	held   bool   // best is a trial of twice the length, after the search
	slow   bool   // the sender was slower than the last rate of the search
}

const (
	firstRate = 20_000 // any host receives this rate; also warms up
	closeness = 1.03   // of the bounds at the end of the search: trials do not repeat more exactly
)

// errUnsent ends a search whose sender repeatedly gets no CPU.
var errUnsent = errors.New("the sender sent nothing")

// run searches. If the sender stops sending, run keeps the results so far.
func (s *search) run() error {
	err := s.narrow()
	if errors.Is(err, errUnsent) && (s.best != nil || s.bad != nil) {
		s.chooseBelowBad()
		return nil
	}
	return err
}

// narrow raises the rate up to flat out, and then halves the distance between the highest rate
// without losses and the lowest rate with losses.
func (s *search) narrow() error {
	for _, rate := range []float64{firstRate, 5 * firstRate, 0} {
		if t, err := s.tryUntilSent(rate, s.length); err != nil {
			return err
		} else if s.add(t); t.Verdict != lossFree {
			break
		}
	}
	for low := 0.0; s.bad != nil && s.bad.Rate > low*closeness && !s.noTimeFor(4*s.length); {
		if s.best != nil {
			low = max(low, s.best.Rate)
		}
		t, err := s.tryUntilSent(float64(roundRate((low+s.bad.Rate)/2)), s.length)
		if err == nil && t.Verdict != lossFree && !s.noTimeFor(4*s.length) {
			// Other work on the host may be the cause: try again.
			second, failed := s.tryUntilSent(t.Asked, s.length)
			if second.Verdict == lossFree {
				t = second
			}
			if err = failed; errors.Is(err, errUnsent) {
				s.add(t)
			}
		}
		if err != nil {
			return err
		}
		if s.add(t); t.Verdict == lossFree {
			if s.slow = t.isShort(); s.slow && t.Rate <= low*closeness {
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

// confirm repeats the best rate for double the time, and lowers the rate until a trial is
// loss-free.
func (s *search) confirm() error {
	rate := s.best.Rate
	if s.bad == nil {
		rate = 0 // best was sent flat out
	}
	for !s.noTimeFor(2 * s.length) {
		t, err := s.tryUntilSent(rate, 2*s.length)
		if err != nil {
			return err
		}
		if t.Verdict == lossFree {
			s.best, s.held = &t, true
			return nil
		}
		s.add(t)
		rate = 0.93 * t.Rate
	}
	s.chooseBelowBad()
	return nil
}

// chooseBelowBad sets best to the best loss-free trial below all trials with losses, for a search
// without a confirmed rate.
func (s *search) chooseBelowBad() {
	if s.bad == nil {
		return
	}
	s.best = nil
	for _, t := range s.trials {
		if t.Rate < s.bad.Rate {
			s.add(t)
		}
	}
}

// bounds writes the bounds of the search so far.
func (s *search) bounds() string {
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

// tryUntilSent runs a trial, and repeats a trial in which nothing was sent.
func (s *search) tryUntilSent(rate float64, length time.Duration) (trial, error) {
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
		case n == most || s.noTimeFor(length):
			return t, errUnsent
		}
	}
}

func (s *search) add(t trial) {
	switch {
	case t.Verdict == unsent: // no result
	case t.Verdict == lossFree && (s.best == nil || t.Rate > s.best.Rate):
		s.best = &t
	case t.Verdict != lossFree && (s.bad == nil || t.Rate < s.bad.Rate):
		s.bad = &t
	}
}
