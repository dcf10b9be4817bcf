package metrics

// Steering is how a listener spreads datagrams over its shards.
type Steering struct {
	Mode           string   `json:"-"`               // as configured: auto, hash, cpu, source, spray
	InForce        string   `json:"in_force"`        // in the kernel; empty: unknown, in a standby
	Buckets        int      `json:"buckets"`         // into which auto divides flows; 0 in other modes
	MovedBuckets   int      `json:"moved_buckets"`   // buckets away from their first shard
	SprayedSources []string `json:"sprayed_sources"` // senders whose datagrams go to any shard
	StalledShards  []int    `json:"stalled_shards"`  // away from their socket while datagrams wait
	AvoidedShards  []int    `json:"avoided_shards"`  // without datagrams, as they are or were stalled

	Changes map[string]uint64 `json:"changes"` // made by steering, by kind

	TopSenders []Sender `json:"-"` // the largest first
	Skew       string   `json:"-"` // a text on an uneven load; empty: the load is even
}

// Sender is one source address and port of many datagrams.
type Sender struct {
	Source    string `json:"source"`
	PerSecond uint64 `json:"per_second"` // datagrams, estimated from a sample
	Percent   uint64 `json:"percent"`    // of the listener's datagrams
	Sprayed   bool   `json:"sprayed"`
}

// SetSteering sets the result of Steering. The caller must not change s afterwards.
func (l *Listener) SetSteering(s Steering) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steering = s
}

// Steering returns how the listener spreads datagrams. The lists are not nil: they are lists in
// JSON too.
func (l *Listener) Steering() Steering {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.steering
	notNil(&s.SprayedSources)
	notNil(&s.StalledShards)
	notNil(&s.AvoidedShards)
	notNil(&s.TopSenders)
	if s.Changes == nil {
		s.Changes = map[string]uint64{}
	}
	return s
}

func notNil[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
