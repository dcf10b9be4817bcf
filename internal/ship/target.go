// Package ship sends the records of a spool to targets: collectors, stores and brokers.
//
// A Shipper has one goroutine for each target of a listener. The goroutine reads batches from the
// spool's series, oldest first, and calls Send. Send returns nil when the target has acknowledged
// the batch. Until then the goroutine sends the same batch again, with growing pauses. So a target
// that is slow or away delays neither shards nor other targets. The spool keeps the records, and
// the position and ledger of each target (spool.Consumer).
//
// The packages below this package have the targets.
package ship

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Target sends batches to one destination. One goroutine calls the methods.
type Target interface {
	// Send returns nil when the target has acknowledged all records of the batch. Any other result
	// is an *Error, or a temporary error: the batch is sent again. Send connects if necessary, and
	// returns soon after the end of ctx. A Target keeps no reference to the batch.
	Send(ctx context.Context, b *Batch) error
	// Close closes connections. Send is not called any more.
	Close() error
}

// Asker is a Target that can find out which records are stored. Stored is called before a batch is
// sent again: after a failure of Send, and after the end of a process during Send.
type Asker interface {
	// Stored returns how many of the first records of the batch are stored at the target.
	Stored(ctx context.Context, b *Batch) (records int, err error)
}

// Batch is records of one series, in order. The same records are sent again in a batch with the
// same identity, also by another process, if the process that sent them first has ended before the
// acknowledgement.
type Batch struct {
	Spool     string // identity of the spool: 16 hexadecimal digits
	Listener  string
	Series    string    // epoch and shard: 12-0; unique in the spool for each listener
	Shard     int       // that received the datagrams
	First     uint64    // number of the first record in the series; the first of all is 0
	Format    Format    // of the records
	Records   [][]byte  // without newlines
	SpooledAt time.Time // when the last record was written to the spool, or a little later

	// Note is for the Target: the Note of the last acknowledged batch, of any series; "" before the
	// first. Send may change the Note: the spool keeps it if Send returns nil, or some records are
	// acknowledged. Use Note for positions at the target, to find out what is stored.
	Note string
	// Resent counts records that Send sent although an earlier Send returned them as acknowledged.
	Resent int
}

// Format is the format of records.
type Format string

// The formats of records.
const (
	JSON     Format = "json"     // an object (docs/syslog.md)
	RFC5424  Format = "rfc5424"  // a syslog message
	Original Format = "original" // the datagram, any bytes
	Dnstap   Format = "dnstap"   // frames of dnstap in base64 (internal/dnstap)
)

// Formats are all formats. The first is the default.
var Formats = []Format{JSON, RFC5424, Original, Dnstap}

// ID identifies the batch among all batches and all records of all spools: the RecordID of the
// first record, a dot, and the number of records. ID consists of letters, digits and - . _ if the
// name of the listener does; other bytes are escaped as %XX.
func (b *Batch) ID() string { return b.RecordID(0) + "." + strconv.Itoa(len(b.Records)) }

// RecordID identifies the record Records[i] among all records of all spools.
func (b *Batch) RecordID(i int) string {
	return fmt.Sprintf("%s-%s-%s-%d", b.Spool, escape(b.Listener), b.Series, b.First+uint64(i))
}

// escape replaces all bytes but letters, digits and - . _ by %XX.
func escape(name string) string {
	var escaped []byte
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '-', c == '.', c == '_':
			escaped = append(escaped, c)
		default:
			escaped = fmt.Appendf(escaped, "%%%02X", c)
		}
	}
	return string(escaped)
}

// Size returns the bytes of all records.
func (b *Batch) Size() (bytes int) {
	for _, r := range b.Records {
		bytes += len(r)
	}
	return bytes
}

// Error is the result of Send for a batch of which the target has not acknowledged every record.
//
// With Err nil, the records in Rejected are refused for good, and all other records are
// acknowledged. With Err, the first Acknowledged records are acknowledged or in Rejected, and the
// rest of the batch is sent again.
type Error struct {
	Err          error
	Acknowledged int           // with Err
	Rejected     []Rejection   // by increasing Index; with Err each Index is below Acknowledged
	Permanent    bool          // only a change of configuration helps: sent again every 10 s
	RetryAfter   time.Duration // the least pause that the target asks for; 0: none
}

// Rejection is a record that the target refuses for good.
type Rejection struct {
	Index  int    // in Batch.Records
	Reason string // of the target
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d records rejected: %s", len(e.Rejected), e.Rejected[0].Reason)
	}
	return e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Permanent returns an error that only a change of the target's configuration can remove.
func Permanent(err error) error { return &Error{Err: err, Permanent: true} }
