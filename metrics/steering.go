package metrics

import "sync"

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
