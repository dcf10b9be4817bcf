package metrics

import "time"

// Reading is one shard's page at one moment. Its JSON is the contract's.
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

	Dropped Drops `json:"dropped"`

	QueueBytes  uint64 `json:"queue_bytes"`
	BufferBytes uint64 `json:"buffer_bytes"`

	CPUTime time.Duration `json:"-"`
}

// Drops are datagrams lost, by reason. Kernel and Reply are beside the
// ledger's first equation: the kernel's were never received, and a lost reply
// belongs to a datagram that was delivered.
type Drops struct {
	Kernel      uint64 `json:"kernel"`
	NotAllowed  uint64 `json:"not_allowed"`
	RateLimited uint64 `json:"rate_limited"`
	Malformed   uint64 `json:"malformed"`
	Output      uint64 `json:"output"`
	Reply       uint64 `json:"reply"`
	LostInCrash uint64 `json:"lost_in_crash"`
}

// Read takes a reading, and asks the socket first. Any goroutine may call it.
func (s *Shard) Read() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
	t := s.total()
	r := Reading{
		Shard: s.Index, CPU: s.CPU, Thread: s.Thread(), InFlight: t.inFlight(),
		QueueBytes: uint64(s.queued), BufferBytes: uint64(s.buffer), CPUTime: time.Duration(t[cpuTime]),
	}
	for i := range Table {
		if c := &Table[i]; !c.Gauge {
			*c.field(&r) = t[c.total]
		}
	}
	return r
}

// InFlight returns the datagrams that were received, and of which nothing has become yet. It
// asks no socket. Any goroutine may call it.
func (s *Shard) InFlight() uint64 {
	t := s.total()
	return t.inFlight()
}
