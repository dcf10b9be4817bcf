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

// Lost returns the datagrams that are not delivered and that nobody asked to
// drop.
func (d Drops) Lost() uint64 { return d.Kernel + d.Malformed + d.Output + d.LostInCrash }

// Received returns the datagrams that were received and then dropped, for
// whatever reason: the ledger's first equation.
func (d Drops) Received() uint64 {
	return d.NotAllowed + d.RateLimited + d.Malformed + d.Output + d.LostInCrash
}

// Read takes a reading, and asks the socket first. Any goroutine may call it.
func (s *Shard) Read() Reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask()
	t := s.total()
	return Reading{
		Shard:       s.Index,
		CPU:         s.CPU,
		Thread:      s.Thread(),
		QueueBytes:  uint64(s.queued),
		BufferBytes: uint64(s.buffer),
		CPUTime:     time.Duration(t[cpuTime]),
		Received:    t[received],
		Bytes:       t[byteCount],
		Batches:     t[batches],
		Delivered:   t[delivered],
		Replied:     t[replied],
		InFlight:    t[received] - t[delivered] - t.dropped(),
		Truncated:   t[truncated],
		Unparsed:    t[unparsed],

		MalformedHeader: t[malformedHeader],

		Dropped: Drops{
			Kernel:      t[kernel],
			NotAllowed:  t[notAllowed],
			RateLimited: t[rateLimited],
			Malformed:   t[malformed],
			Output:      t[outputLost],
			Reply:       t[replyLost],
			LostInCrash: t[lostInCrash],
		},
	}
}

// InFlight returns the datagrams that were received, and of which nothing has become yet. It
// asks no socket. Any goroutine may call it.
func (s *Shard) InFlight() uint64 {
	t := s.total()
	return t.inFlight()
}

// Sum adds readings up; the fields that name one shard stay zero.
func Sum(readings []Reading) Reading {
	var t Reading
	for _, r := range readings {
		t.Received += r.Received
		t.Bytes += r.Bytes
		t.Batches += r.Batches
		t.Delivered += r.Delivered
		t.Replied += r.Replied
		t.InFlight += r.InFlight
		t.Truncated += r.Truncated
		t.Unparsed += r.Unparsed
		t.MalformedHeader += r.MalformedHeader
		t.Dropped.Kernel += r.Dropped.Kernel
		t.Dropped.NotAllowed += r.Dropped.NotAllowed
		t.Dropped.RateLimited += r.Dropped.RateLimited
		t.Dropped.Malformed += r.Dropped.Malformed
		t.Dropped.Output += r.Dropped.Output
		t.Dropped.Reply += r.Dropped.Reply
		t.Dropped.LostInCrash += r.Dropped.LostInCrash
		t.QueueBytes += r.QueueBytes
		t.BufferBytes += r.BufferBytes
		t.CPUTime += r.CPUTime
	}
	return t
}
