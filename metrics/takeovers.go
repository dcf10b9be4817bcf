package metrics

import (
	"sync/atomic"
	"time"
)

// TakeoverReason is why a process has taken over from its predecessor.
type TakeoverReason int

// Reasons for a takeover.
const (
	TakeoverUpgrade TakeoverReason = iota // a successor was started
	TakeoverStop                          // the predecessor was stopped, and had a standby
	TakeoverDied                          // the predecessor died, and had a standby
	TakeoverStalled                       // the predecessor did not read datagrams in its queues
	TakeoverRestart                       // the service manager had kept sockets and counters

	TakeoverReasons // the number of reasons
)

var takeoverNames = [TakeoverReasons]string{"upgrade", "stop", "died", "stalled", "restart"}

func (r TakeoverReason) String() string { return takeoverNames[r] }

// Takeovers count the takeovers since the first process. Inherit copies them together with the
// totals. The process that has made the shared counters writes Takeovers, any process reads them.
type Takeovers struct {
	counts     [TakeoverReasons]atomic.Uint64
	last       atomic.Int64  // time in nanoseconds since 1970; 0: no takeover yet
	lastReason atomic.Uint64 // of the last takeover
	stalled    atomic.Int64  // time of the last one by TakeoverStalled, by clock; 0: none yet
	doublings  atomic.Uint64 // of the patience of standbys, until quietTakeovers after stalled
	_          [cacheLine - 9*8]byte
}

const (
	// quietTakeovers is the time without a takeover by TakeoverStalled after which the patience of
	// standbys is --standby-after again.
	quietTakeovers = time.Minute
	// maxDoublings bounds the patience: 16 times --standby-after, 4 s by default.
	maxDoublings = 4
)

// Takeovers returns the takeovers in shared counters.
func (sc *SharedCounters) Takeovers() *Takeovers { return &sc.header.takeovers }

// Add counts a takeover by this process.
func (t *Takeovers) Add(reason TakeoverReason, now time.Time) {
	t.counts[reason].Add(1)
	t.lastReason.Store(uint64(reason))
	t.last.Store(now.UnixNano())
	if reason != TakeoverStalled {
		return
	}
	doublings := uint64(0)
	if t.recentlyStalled(now) {
		doublings = t.doublings.Load() + 1 // factor bounds the number
	}
	t.doublings.Store(doublings)
	t.stalled.Store(clock(now))
}

// Count returns the number of takeovers for a reason.
func (t *Takeovers) Count(reason TakeoverReason) uint64 { return t.counts[reason].Load() }

// recentlyStalled returns whether the last takeover by TakeoverStalled was within quietTakeovers.
// A time in the future, which only damage writes, is not recent.
func (t *Takeovers) recentlyStalled(now time.Time) bool {
	at := t.stalled.Load()
	since := time.Duration(clock(now) - at)
	return at != 0 && since >= 0 && since <= quietTakeovers
}

// Patience returns how long a shard may be silent before a standby takes over: after, or a
// multiple. With each takeover by TakeoverStalled within a minute of the previous one, the patience
// doubles, up to 16 times after. A minute without such a takeover resets the patience. So processes
// that share an overloaded host do not take over from each other again and again.
func (t *Takeovers) Patience(now time.Time, after time.Duration) time.Duration {
	return after * time.Duration(t.factor(now))
}

func (t *Takeovers) factor(now time.Time) int {
	if !t.recentlyStalled(now) {
		return 1
	}
	return 1 << min(t.doublings.Load(), maxDoublings)
}

// inherit adds the counts of the predecessor, and copies the rest.
func (t *Takeovers) inherit(old *Takeovers) {
	for reason := range t.counts {
		t.counts[reason].Add(old.counts[reason].Load())
	}
	t.lastReason.Store(old.lastReason.Load())
	t.last.Store(old.last.Load())
	t.doublings.Store(old.doublings.Load())
	t.stalled.Store(old.stalled.Load())
}

// TakeoverStatus are the takeovers in the status.
type TakeoverStatus struct {
	Upgrade uint64 `json:"upgrade"`
	Stop    uint64 `json:"stop"`
	Died    uint64 `json:"died"`
	Stalled uint64 `json:"stalled"`
	Restart uint64 `json:"restart"`

	PatienceFactor int           `json:"patience_factor"` // of Patience, now
	Last           *LastTakeover `json:"last,omitempty"`  // nil: no takeover yet
}

// LastTakeover is the latest takeover.
type LastTakeover struct {
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

func (t *Takeovers) status(now time.Time) TakeoverStatus {
	s := TakeoverStatus{Upgrade: t.Count(TakeoverUpgrade), Stop: t.Count(TakeoverStop),
		Died: t.Count(TakeoverDied), Stalled: t.Count(TakeoverStalled),
		Restart: t.Count(TakeoverRestart), PatienceFactor: t.factor(now)}
	at, reason := t.last.Load(), t.lastReason.Load()
	if at != 0 && reason < uint64(TakeoverReasons) {
		s.Last = &LastTakeover{Reason: takeoverNames[reason],
			At: time.Unix(0, at).UTC().Truncate(time.Millisecond)}
	}
	return s
}
