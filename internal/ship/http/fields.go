package http

import (
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// fields are members of a record, as the text stands between the quotes of JSON; nil if absent.
type fields struct {
	timestamp, receivedAt, source                   []byte
	hostname, appname, facility, severity, listener []byte
}

// read reads the members of record i.
func (f *fields) read(b *ship.Batch, i int) {
	*f = fields{}
	if b.Format != ship.JSON {
		return
	}
	for key, value := range record.Members(b.Records[i]) {
		switch string(key) {
		case "timestamp":
			f.timestamp = record.Text(value)
		case "received_at":
			f.receivedAt = record.Text(value)
		case "source":
			f.source = record.Text(value)
		case "hostname":
			f.hostname = record.Text(value)
		case "appname":
			f.appname = record.Text(value)
		case "facility":
			f.facility = record.Text(value)
		case "severity":
			f.severity = record.Text(value)
		case "listener":
			f.listener = record.Text(value)
		}
	}
}

// clock is the time of records: the option time.
type clock struct{ receipt bool }

// newClock reads the option time: timestamp is the time of the sender, or of receipt if the record
// has none; received_at is always the time of receipt.
func newClock(s *ship.Settings) (clock, error) {
	value, err := s.Choice("time", "timestamp", "received_at")
	return clock{receipt: value == "received_at"}, err
}

// text returns the time of a record in RFC 3339, nil if the record has no time.
func (c clock) text(f *fields) []byte {
	if c.receipt || parseTime(f.timestamp).IsZero() {
		return f.receivedAt
	}
	return f.timestamp
}

// time returns the time of a record. A record without a time has the time of its arrival in the
// spool, or a little later.
func (c clock) time(f *fields, b *ship.Batch) time.Time {
	if t := parseTime(c.text(f)); !t.IsZero() {
		return t
	}
	return b.SpooledAt
}

// parseTime parses a time in RFC 3339. The result is the zero time if the text is none, or the time
// is before 1970 or after 2261: nanoseconds in 64 bits end in 2262.
func parseTime(text []byte) (t time.Time) {
	if len(text) == 0 || t.UnmarshalText(text) != nil {
		return time.Time{}
	}
	if year := t.UTC().Year(); year < 1970 || year > 2261 {
		return time.Time{}
	}
	return t
}
