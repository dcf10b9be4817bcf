package http

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// loki is the push API of Grafana Loki in JSON
// (https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs), which VictoriaLogs
// has as well. The records of a request are grouped by their labels into streams; the line is the
// record. Loki keeps one of several lines with the same labels, time and text, so a record that is
// sent again is stored once.
type loki struct {
	plain
	labels  []string
	tenant  string
	clock   clock
	fields  fields
	key     []byte // labels of a record: a JSON object
	streams map[string]*stream
	order   []*stream // in the order of their first records
	free    []*stream
}

// stream has the records with the same labels, in their order.
type stream struct {
	key     string // the labels: a JSON object
	records []int
	times   []int64 // of records, in nanoseconds since 1970
}

// defaultLabels are few: a sender can forge each field of a datagram, and Loki refuses new streams
// above a limit (max_global_streams_per_user, 5,000).
const defaultLabels = "listener,severity"

var lokiLabels = []string{"listener", "severity", "facility", "hostname", "appname"}

func newLoki(s *ship.Settings) (format, error) {
	c, err := newClock(s)
	l := &loki{clock: c, tenant: s.Options["tenant"], streams: make(map[string]*stream)}
	text, set := s.Options["labels"]
	if !set {
		text = defaultLabels
	}
	for label := range strings.SplitSeq(text, ",") {
		label = strings.TrimSpace(label)
		switch {
		case !slices.Contains(lokiLabels, label):
			unknown := fmt.Errorf("option labels: %q is not one of %s", label, strings.Join(lokiLabels, ", "))
			err = cli.Join(err, cli.SuggestChoice(unknown, label, lokiLabels))
		case slices.Contains(l.labels, label):
			err = cli.Join(err, fmt.Errorf("option labels: %s is there twice", label))
		default:
			l.labels = append(l.labels, label)
		}
	}
	if strings.ContainsAny(l.tenant, "\r\n") {
		err = cli.Join(err, errors.New("option tenant: must be one line"))
	}
	return l, err
}

func (l *loki) setHeader(h http.Header) {
	h.Set("Content-Type", "application/json")
	if l.tenant != "" {
		h.Set("X-Scope-OrgID", l.tenant)
	}
}

func (l *loki) append(dst []byte, b *ship.Batch, part []int) []byte {
	l.group(b, part)
	dst = append(dst, `{"streams":[`...)
	for n, s := range l.order {
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"stream":`...)
		dst = append(dst, s.key...)
		dst = append(dst, `,"values":[`...)
		for k, i := range s.records {
			if k > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `["`...)
			dst = strconv.AppendInt(dst, s.times[k], 10)
			dst = append(dst, `",`...)
			dst = record.AppendString(dst, b.Records[i])
			dst = append(dst, ']')
		}
		dst = append(dst, `]}`...)
	}
	return append(dst, `]}`...)
}

// group groups the records part into streams.
func (l *loki) group(b *ship.Batch, part []int) {
	for _, s := range l.order {
		s.records, s.times = s.records[:0], s.times[:0]
	}
	l.free = append(l.free, l.order...)
	l.order = l.order[:0]
	clear(l.streams)
	for _, i := range part {
		l.fields.read(b, i)
		l.appendKey(b)
		s := l.streams[string(l.key)]
		if s == nil {
			s = l.newStream()
			s.key = string(l.key)
			l.streams[s.key] = s
			l.order = append(l.order, s)
		}
		s.records = append(s.records, i)
		s.times = append(s.times, l.clock.time(&l.fields, b).UnixNano())
	}
}

func (l *loki) newStream() *stream {
	const maxFree = 256 // the streams of a batch with forged labels are not kept
	l.free = l.free[:min(len(l.free), maxFree)]
	if n := len(l.free); n > 0 {
		s := l.free[n-1]
		l.free = l.free[:n-1]
		return s
	}
	return new(stream)
}

// appendKey sets key to the labels of a record. A record without any label has the listener: Loki
// demands a label.
func (l *loki) appendKey(b *ship.Batch) {
	l.key = append(l.key[:0], '{')
	for _, label := range l.labels {
		var value []byte
		switch label {
		case "severity":
			value = l.fields.severity
		case "facility":
			value = l.fields.facility
		case "hostname":
			value = l.fields.hostname
		case "appname":
			value = l.fields.appname
		case "listener":
			l.appendListener(b)
		}
		if len(value) > 0 {
			l.appendLabel(label, value)
		}
	}
	if len(l.key) == 1 {
		l.appendListener(b)
	}
	l.key = append(l.key, '}')
}

func (l *loki) appendListener(b *ship.Batch) {
	l.appendLabel("listener", record.AppendText(nil, []byte(b.Listener)))
}

// appendLabel appends a label; value is text of JSON.
func (l *loki) appendLabel(label string, value []byte) {
	if len(l.key) > 1 {
		l.key = append(l.key, ',')
	}
	l.key = append(append(append(l.key, '"'), label...), `":"`...)
	l.key = append(append(l.key, value...), '"')
}
