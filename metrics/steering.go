package metrics

import (
	"sync"
	"time"
)

// Steering is how a listener spreads datagrams over its shards.
type Steering struct {
	Mode           string   `json:"-"`               // asked for: auto, hash, cpu, source, spray
	InForce        string   `json:"in_force"`        // the mode by which the kernel spreads datagrams; empty: not known, in a standby
	Buckets        int      `json:"buckets"`         // parts into which auto divides flows; 0 in other modes
	MovedBuckets   int      `json:"moved_buckets"`   // of these, so many are not at their first shard
	SprayedSources []string `json:"sprayed_sources"` // senders whose datagrams go to any shard
	StalledShards  []int    `json:"stalled_shards"`  // that do not come back to a queue that waits
	AvoidedShards  []int    `json:"avoided_shards"`  // that get nothing, since they are stalled or were just now

	// Changes counts what steering has changed, by kind.
	Changes map[string]uint64 `json:"changes"`

	TopSenders []Sender `json:"-"` // the heaviest first
	Skew       string   `json:"-"` // what is uneven, in words; empty: nothing is
}

// Sender is one source address and port that sends much.
type Sender struct {
	Source    string `json:"source"`
	PerSecond uint64 `json:"per_second"` // datagrams, estimated from a sample
	Percent   uint64 `json:"percent"`    // of the listener's
	Sprayed   bool   `json:"sprayed"`
}

// steered keeps a listener's Steering. The zero value has none.
type steered struct {
	mu  sync.Mutex
	now Steering
}

// SetSteering replaces what Steering returns, which must not change any more.
func (l *Listener) SetSteering(s Steering) {
	l.steered.mu.Lock()
	defer l.steered.mu.Unlock()
	l.steered.now = s
}

// Steering returns how datagrams are spread. Its lists are never nil, so that
// they are lists in JSON too.
func (l *Listener) Steering() Steering {
	l.steered.mu.Lock()
	defer l.steered.mu.Unlock()
	s := l.steered.now
	if s.SprayedSources == nil {
		s.SprayedSources = []string{}
	}
	if s.StalledShards == nil {
		s.StalledShards = []int{}
	}
	if s.AvoidedShards == nil {
		s.AvoidedShards = []int{}
	}
	if s.TopSenders == nil {
		s.TopSenders = []Sender{}
	}
	if s.Changes == nil {
		s.Changes = map[string]uint64{}
	}
	return s
}

// Sample is what steering wants to know of a shard, many times a second.
type Sample struct {
	Received       uint64
	Dropped        uint64 // by the kernel
	Queued         uint64 // bytes
	Buffer         uint64 // bytes
	SinceHeartbeat time.Duration
	OutputWait     time.Duration
}

// Sample asks the socket for less than Read does.
func (s *Shard) Sample(now time.Time) Sample {
	s.mu.Lock()
	s.askMemory()
	g := Sample{Dropped: s.kernel.Load(), Queued: uint64(s.queued), Buffer: uint64(s.buffer)}
	s.mu.Unlock()
	g.Received = s.Received.Load()
	if away, started := s.away(now); started {
		g.SinceHeartbeat = away
	}
	g.OutputWait, _ = s.OutputWait(now)
	return g
}

// BeginOutputWait says that the shard begins to wait for its output; Release that it
// goes on. Called by the shard's thread, only where it can't go on at once.
func (s *Shard) BeginOutputWait() { s.heldSince.Store(clock(time.Now())) }

// EndOutputWait ends what Hold began.
func (s *Shard) EndOutputWait() {
	since := s.heldSince.Swap(releasing)
	s.held.Add(clock(time.Now()) - since)
	s.heldSince.Store(0)
}

// KeepAlive says that it still waits. Whoever waits for long calls it now and
// then, and is not taken for one that has stopped: see Pulse.
func (s *Shard) KeepAlive() {
	since, now := s.heldSince.Swap(releasing), clock(time.Now())
	s.held.Add(now - since)
	s.heldSince.Store(now)
}

// releasing stands in heldSince while a wait is added to those before.
const releasing = -1

// heldTries is how many times Held reads while the shard is adding a wait. The shard needs a few
// instructions for that, unless the kernel takes the CPU from its thread in between.
const heldTries = 1000

// OutputWait returns how long the shard has waited for its output in total, and whether it waits now.
// If the shard's thread does not run while it adds a wait, that wait is missing in the total.
func (s *Shard) OutputWait(now time.Time) (total time.Duration, holding bool) {
	for range heldTries {
		since := s.heldSince.Load()
		total = time.Duration(s.held.Load())
		if since == releasing || s.heldSince.Load() != since {
			continue
		}
		if since != 0 {
			total += max(0, time.Duration(clock(now)-since))
		}
		return total, since != 0
	}
	return total, true
}
