package metrics

import (
	"sync/atomic"
	"time"
)

// TakeoverReason is why a process has taken over from another one.
type TakeoverReason int

// Reasons for a takeover.
const (
	TakeoverUpgrade TakeoverReason = iota // a successor was started
	TakeoverStop                          // the process before was told to stop, and had a standby
	TakeoverDied                          // the process before has died, and had a standby
	TakeoverStalled                       // the process before did not read what waited
	TakeoverRestart                       // the service manager has kept what a process before had, however that ended

	TakeoverReasons // how many there are
)

var takeoverNames = [TakeoverReasons]string{"upgrade", "stop", "died", "stalled", "restart"}

func (r TakeoverReason) String() string { return takeoverNames[r] }

// Takeovers count what has led from one process to the next since the first one, and
// keep how often processes were taken for stalled of late. They go along with the
// counters. One process writes them: the one whose Book has them; any number read.
type Takeovers struct {
	counts     [TakeoverReasons]atomic.Uint64
	last       atomic.Int64  // when, in nanoseconds since 1970; 0: never
	lastReason atomic.Uint64 // of that one
	stalled    atomic.Int64  // when a process was last taken for stalled, in the clock that processes share; 0: never
	doublings  atomic.Uint64 // of the patience of standbys, for a quietTakeovers from then on
	_          [cacheLine - 9*8]byte
}

const (
	// quietTakeovers is for how long no process may be taken for stalled before
	// standbys have their usual patience again.
	quietTakeovers = time.Minute
	// mostDoublings bounds that patience: 16 times --standby-after, 4 s by default.
	mostDoublings = 4
)

// Add counts a takeover by this process.
func (t *Takeovers) Add(reason TakeoverReason, now time.Time) {
	t.counts[reason].Add(1)
	t.lastReason.Store(uint64(reason))
	t.last.Store(now.UnixNano())
	if reason != TakeoverStalled {
		return
	}
	doublings := uint64(0)
	if t.recently(now) {
		doublings = t.doublings.Load() + 1 // factor bounds it
	}
	t.doublings.Store(doublings)
	t.stalled.Store(clock(now))
}

// Count returns how many takeovers of a reason there were.
func (t *Takeovers) Count(reason TakeoverReason) uint64 { return t.counts[reason].Load() }

// recently says whether a process was taken for stalled within quietTakeovers. A time to
// come, which only damage writes, is none.
func (t *Takeovers) recently(now time.Time) bool {
	at := t.stalled.Load()
	since := time.Duration(clock(now) - at)
	return at != 0 && since >= 0 && since <= quietTakeovers
}

// Patience returns for how long a process may stay away from what waits before a standby
// takes it for stalled, where that is after in quiet times. When a process is taken for
// stalled within a minute of the one before, the patience doubles, up to 16 times after;
// a minute without one brings it back. So processes that share a starved host do not
// take over from one another again and again.
func (t *Takeovers) Patience(now time.Time, after time.Duration) time.Duration {
	return after * time.Duration(t.factor(now))
}

func (t *Takeovers) factor(now time.Time) int {
	if !t.recently(now) {
		return 1
	}
	return 1 << min(t.doublings.Load(), mostDoublings)
}

// inherit goes on from those of the process before.
func (t *Takeovers) inherit(old *Takeovers) {
	for reason := range t.counts {
		t.counts[reason].Add(old.counts[reason].Load())
	}
	t.lastReason.Store(old.lastReason.Load())
	t.last.Store(old.last.Load())
	t.doublings.Store(old.doublings.Load())
	t.stalled.Store(old.stalled.Load())
}

// Takeovers returns those of the book.
func (b *SharedCounters) Takeovers() *Takeovers { return &b.header.takeovers }

// TakeoverStatus is what the status says of takeovers.
type TakeoverStatus struct {
	Upgrade uint64 `json:"upgrade"`
	Stop    uint64 `json:"stop"`
	Died    uint64 `json:"died"`
	Stalled uint64 `json:"stalled"`
	Restart uint64 `json:"restart"`

	PatienceFactor int           `json:"patience_factor"` // standbys wait so many times --standby-after now
	Last           *LastTakeover `json:"last,omitempty"`  // nil: there was none
}

// LastTakeover is the latest takeover.
type LastTakeover struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

func (t *Takeovers) status(now time.Time) TakeoverStatus {
	s := TakeoverStatus{Upgrade: t.Count(TakeoverUpgrade), Stop: t.Count(TakeoverStop), Died: t.Count(TakeoverDied),
		Stalled: t.Count(TakeoverStalled), Restart: t.Count(TakeoverRestart), PatienceFactor: t.factor(now)}
	at, reason := t.last.Load(), t.lastReason.Load()
	if at != 0 && reason < uint64(TakeoverReasons) {
		s.Last = &LastTakeover{TakeoverReason(reason).String(), time.Unix(0, at).UTC().Truncate(time.Millisecond)}
	}
	return s
}
