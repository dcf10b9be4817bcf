package metrics

import (
	"slices"
	"time"
)

// Counter is a row of Table: one number of a Reading by all its names.
type Counter struct {
	// Name is the key in the JSON status. The name of a drop reason is the key below "dropped",
	// and the label reason of metrics.
	Name string
	// Metric is the name in Prometheus without the prefix udpshard_. Reasons for drops of datagrams
	// have none: metrics such as udpshard_datagrams_lost_total have them as labels.
	Metric   string
	Help     string // of Metric; of a drop reason: what happened to the datagrams
	Gauge    bool   // a value of one moment; the other numbers only grow
	Drop     Drop
	Unlogged bool // absent in the final ledger of the log

	total int // index in totals; a gauge has none
	own   func(c *Counters) uint64
	field func(r *Reading) *uint64
	last  func(t *DropTimes) *time.Time // of a drop reason
}

// Drop says where the datagrams of a drop reason stand in the equations of the ledger.
type Drop int

// Kinds of drop reasons.
const (
	NoDrop        Drop = iota // the counter is not a drop reason
	BeforeReceipt             // dropped by the kernel, and so not received
	OnPurpose                 // received, and dropped as the settings or the protocol demand
	AfterReceipt              // received, and lost
	ReplyOnly                 // delivered, but the reply was lost
)

// Table has a row for each number of a Reading, in the order of the JSON status. The numbers of a
// reading, sums and differences of readings, the Prometheus metrics and the fields of log lines
// follow from Table. A new drop reason takes a row, the field of Drops that the row names, and
// memory: a field of Counters and an index of totals.
var Table = []Counter{
	{Name: "received", Metric: "datagrams_received_total", total: received,
		Help:  "Datagrams read from the socket.",
		field: func(r *Reading) *uint64 { return &r.Received },
		own:   func(c *Counters) uint64 { return c.Received.Load() }},
	{Name: "bytes", Metric: "bytes_received_total", total: byteCount,
		Help:  "Bytes of payload read from the socket.",
		field: func(r *Reading) *uint64 { return &r.Bytes },
		own:   func(c *Counters) uint64 { return c.Bytes.Load() }},
	{Name: "batches", Metric: "receive_batches_total", total: batches, Unlogged: true,
		Help:  "Receive calls that returned datagrams.",
		field: func(r *Reading) *uint64 { return &r.Batches },
		own:   func(c *Counters) uint64 { return c.Batches.Load() }},
	{Name: "delivered", Metric: "datagrams_delivered_total", total: delivered,
		Help:  "Datagrams that the output has accepted for good.",
		field: func(r *Reading) *uint64 { return &r.Delivered },
		own:   func(c *Counters) uint64 { return c.Delivered.Load() + c.Handled.Load() }},
	{Name: "replied", Metric: "replies_total", total: replied,
		Help:  "Replies sent.",
		field: func(r *Reading) *uint64 { return &r.Replied },
		own:   func(c *Counters) uint64 { return c.Replied.Load() }},
	{Name: "in_flight", Metric: "in_flight", Gauge: true,
		Help:  "Datagrams that were received, and are not yet delivered or dropped.",
		field: func(r *Reading) *uint64 { return &r.InFlight }},
	{Name: "truncated", Metric: "datagrams_truncated_total", total: truncated,
		Help:  "Delivered datagrams that were longer than max_datagram and were cut.",
		field: func(r *Reading) *uint64 { return &r.Truncated },
		own:   func(c *Counters) uint64 { return c.Truncated.Load() }},
	{Name: "unparsed", Metric: "datagrams_unparsed_total", total: unparsed,
		Help: "Delivered datagrams that fit no grammar of the protocol, and DNS messages that must " +
			"not be answered; always 0 with format: original.",
		field: func(r *Reading) *uint64 { return &r.Unparsed },
		own:   func(c *Counters) uint64 { return c.Unparsed.Load() }},
	{Name: "malformed_header", Metric: "datagrams_malformed_header_total", total: malformedHeader,
		Help:  "Delivered datagrams whose header was read only up to the field that breaks the grammar.",
		field: func(r *Reading) *uint64 { return &r.MalformedHeader },
		own:   func(c *Counters) uint64 { return c.MalformedHeader.Load() }},

	{Name: "kernel", Drop: BeforeReceipt, total: kernel,
		Help: "Dropped by the kernel at the socket: the receive buffer was full, a checksum was " +
			"wrong, or the socket was about to close.",
		field: func(r *Reading) *uint64 { return &r.Dropped.Kernel },
		last:  func(t *DropTimes) *time.Time { return &t.Kernel },
		own:   func(c *Counters) uint64 { return c.kernel.Load() }},
	{Name: "not_allowed", Drop: OnPurpose, total: notAllowed,
		Help:  "Dropped because allow does not have the source.",
		field: func(r *Reading) *uint64 { return &r.Dropped.NotAllowed },
		last:  func(t *DropTimes) *time.Time { return &t.NotAllowed },
		own:   func(c *Counters) uint64 { return c.NotAllowed.Load() }},
	{Name: "rate_limited", Drop: OnPurpose, total: rateLimited,
		Help:  "Dropped because the source has exceeded rate_limit.",
		field: func(r *Reading) *uint64 { return &r.Dropped.RateLimited },
		last:  func(t *DropTimes) *time.Time { return &t.RateLimited },
		own:   func(c *Counters) uint64 { return c.RateLimited.Load() }},
	{Name: "malformed", Drop: OnPurpose, total: malformed,
		Help:  "DNS messages that must not be answered, of a listener with output: discard.",
		field: func(r *Reading) *uint64 { return &r.Dropped.Malformed },
		last:  func(t *DropTimes) *time.Time { return &t.Malformed },
		own:   func(c *Counters) uint64 { return c.Malformed.Load() }},
	{Name: "output", Drop: AfterReceipt, total: outputLost,
		Help: "Read, but the output had not accepted the record when the process ended. With dns " +
			"also: the output was too slow.",
		field: func(r *Reading) *uint64 { return &r.Dropped.Output },
		last:  func(t *DropTimes) *time.Time { return &t.Output },
		own:   func(c *Counters) uint64 { return c.OutputLost.Load() }},
	{Name: "reply", Metric: "replies_lost_total", Drop: ReplyOnly, total: replyLost,
		Help:  "Replies that could not be sent. Their datagrams are delivered.",
		field: func(r *Reading) *uint64 { return &r.Dropped.Reply },
		last:  func(t *DropTimes) *time.Time { return &t.Reply },
		own:   func(c *Counters) uint64 { return c.ReplyLost.Load() }},
	{Name: "lost_in_crash", Drop: AfterReceipt, total: lostInCrash,
		Help:  "Read by a process that died before it had written the record.",
		field: func(r *Reading) *uint64 { return &r.Dropped.LostInCrash },
		last:  func(t *DropTimes) *time.Time { return &t.LostInCrash },
		own:   func(*Counters) uint64 { return 0 }}, // only inherited

	{Name: "queue_bytes", Metric: "receive_queue_bytes", Gauge: true, Unlogged: true,
		Help:  "Bytes charged to the socket for datagrams that wait in the kernel.",
		field: func(r *Reading) *uint64 { return &r.QueueBytes }},
	{Name: "buffer_bytes", Metric: "receive_buffer_bytes", Gauge: true, Unlogged: true,
		Help: "Bytes that may be charged to the socket before the kernel drops datagrams: twice the " +
			"size that was granted, for the overhead of the kernel (socket(7)).",
		field: func(r *Reading) *uint64 { return &r.BufferBytes }},
}

// DropReasons returns the rows of Table that are drop reasons.
func DropReasons() []*Counter { return dropReasons }

// Value returns the number of the counter in a reading.
func (c *Counter) Value(r Reading) uint64 { return *c.field(&r) }

// IsLoss returns whether drops for the reason are in Drops.Lost.
func (c *Counter) IsLoss() bool { return c.Drop == BeforeReceipt || c.Drop == AfterReceipt }

// LastDrop returns the time of the last drop for the reason, zero if there is none or the time is
// not known: see DropTimes.
func (c *Counter) LastDrop(t DropTimes) time.Time { return *c.last(&t) }

// LogName returns the name of the counter as a field of log lines.
func (c *Counter) LogName() string {
	if c.Drop != NoDrop {
		return "dropped_" + c.Name
	}
	return c.Name
}

// sum adds up the drop reasons of some kinds.
func (d Drops) sum(kinds ...Drop) (n uint64) {
	r := Reading{Dropped: d}
	for i := range Table {
		if slices.Contains(kinds, Table[i].Drop) {
			n += *Table[i].field(&r)
		}
	}
	return n
}

// Lost returns the datagrams that were to be delivered and are lost: Kernel, Output and
// LostInCrash.
func (d Drops) Lost() uint64 { return d.sum(BeforeReceipt, AfterReceipt) }

// OnPurpose returns the datagrams that were dropped on purpose: NotAllowed, RateLimited and
// Malformed.
func (d Drops) OnPurpose() uint64 { return d.sum(OnPurpose) }

// Received returns the datagrams that were received and then dropped: the drops in the first
// equation of the ledger.
func (d Drops) Received() uint64 { return d.sum(OnPurpose, AfterReceipt) }

// Sum adds up readings. Fields that name one shard stay zero; the times of the last drops are the
// latest of all shards.
func Sum(readings []Reading) (sum Reading) {
	for _, r := range readings {
		for i := range Table {
			*Table[i].field(&sum) += *Table[i].field(&r)
		}
		sum.CPUTime += r.CPUTime
		sum.LastDropped.latest(r.LastDropped)
	}
	return sum
}

// Since returns r without what an earlier reading of the same counters has counted. The gauges
// stay as they are in r, except that no more datagrams are in flight than were received since. A
// counter that is smaller than before becomes 0.
func (r Reading) Since(before Reading) Reading {
	for i := range Table {
		if now := Table[i].field(&r); !Table[i].Gauge {
			*now -= min(*now, *Table[i].field(&before))
		}
	}
	r.InFlight = min(r.InFlight, r.Received)
	r.CPUTime -= min(r.CPUTime, before.CPUTime)
	return r
}
