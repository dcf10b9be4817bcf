package metrics

import "time"

// Reading is the counters of a shard at one moment.
type Reading struct {
	Shard     int    `json:"shard"`
	CPU       int    `json:"cpu"`
	Thread    int    `json:"thread"`
	Received  uint64 `json:"received"`
	Bytes     uint64 `json:"bytes"`
	Batches   uint64 `json:"batches"`
	Delivered uint64 `json:"delivered"`
	Replied   uint64 `json:"replied"`
	InFlight  uint64 `json:"in_flight"`
	Truncated uint64 `json:"truncated"`
	Unparsed  uint64 `json:"unparsed"`

	MalformedHeader uint64 `json:"malformed_header"`

	Dropped     Drops     `json:"dropped"`
	LastDropped DropTimes `json:"last_dropped"`

	QueueBytes  uint64 `json:"queue_bytes"`
	BufferBytes uint64 `json:"buffer_bytes"`

	// WaitsForOutput: the shard has not read for more than a second, because its output accepts no
	// records.
	WaitsForOutput bool `json:"waits_for_output"`

	CPUTime time.Duration `json:"cpu_nanoseconds"` // of the shard's threads
}

// Drops are lost datagrams by reason. Kernel and Reply are not in the first equation of the ledger:
// datagrams that the kernel dropped were not received, and datagrams whose reply was lost are
// delivered.
type Drops struct {
	Kernel      uint64 `json:"kernel"`
	NotAllowed  uint64 `json:"not_allowed"`
	RateLimited uint64 `json:"rate_limited"`
	Malformed   uint64 `json:"malformed"`
	Output      uint64 `json:"output"`
	Reply       uint64 `json:"reply"`
	LostInCrash uint64 `json:"lost_in_crash"`
}

// Read reads the socket and the counters. Drops since the last Read get the present time as the time
// of the last drop. Drops at the socket of a shard in shared counters count only after StartThread of
// one of the shards, or after SharedCounters.Inherit. Any goroutine may call Read.
func (s *Shard) Read() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readSocket()
	t, now := s.total(), time.Now()
	if s.socket != nil || s.shared == nil { // the memory may be another process's
		s.dateDrops(now)
	}
	r := Reading{
		Shard: s.Index, CPU: s.CPU, Thread: s.Thread(), InFlight: t.inFlight(),
		QueueBytes: uint64(s.queued), BufferBytes: uint64(s.buffer), CPUTime: time.Duration(t[cpuTime]),
		LastDropped: s.drops.read(),
	}
	if away, started := s.sinceHeartbeat(now); started && away > stalledAfter {
		_, r.WaitsForOutput = s.OutputWait(now)
	}
	for i := range Table {
		if c := &Table[i]; !c.Gauge {
			*c.field(&r) = t[c.total]
		}
	}
	return r
}

// InFlight returns the datagrams that were received and are neither delivered nor dropped, without
// reading the socket. Any goroutine may call InFlight.
func (s *Shard) InFlight() uint64 {
	t := s.total()
	return t.inFlight()
}
