package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// splunk is the HTTP Event Collector of Splunk: objects with a record and its metadata, one after
// the other ("Format events for HTTP Event Collector" in the manual Get Data In). Splunk answers
// 200 before the events are indexed.
type splunk struct {
	plain
	clock      clock
	source     []byte // as JSON
	sourceType []byte // as JSON
	fields     fields
}

// defaultSourceType: Splunk extracts the fields of JSON at the search for source types that it does
// not know.
const defaultSourceType = "udpshard"

func newSplunk(s *ship.Settings) (format, error) {
	c, err := newClock(s)
	f := &splunk{clock: c}
	source, set := s.Options["source"]
	if !set {
		source = "udpshard:" + s.Listener
	}
	f.source = record.AppendString(nil, []byte(source))
	sourceType, set := s.Options["sourcetype"]
	if !set {
		sourceType = defaultSourceType
	}
	f.sourceType = record.AppendString(nil, []byte(sourceType))
	return f, err
}

func (*splunk) setHeader(h http.Header) { h.Set("Content-Type", "application/json") }

func (f *splunk) append(dst []byte, b *ship.Batch, part []int) []byte {
	for _, i := range part {
		f.fields.read(b, i)
		t := f.clock.time(&f.fields, b)
		dst = append(dst, `{"time":`...)
		dst = strconv.AppendInt(dst, t.Unix(), 10)
		point := len(dst)
		dst = strconv.AppendInt(dst, int64(time.Second)+int64(t.Nanosecond()), 10) // ten digits
		dst[point] = '.'
		if host := f.host(); len(host) > 0 {
			dst = append(dst, `,"host":"`...)
			dst = append(dst, host...)
			dst = append(dst, '"')
		}
		dst = append(dst, `,"source":`...)
		dst = append(dst, f.source...)
		dst = append(dst, `,"sourcetype":`...)
		dst = append(dst, f.sourceType...)
		dst = append(dst, `,"event":`...)
		if b.Format == ship.JSON {
			dst = append(dst, b.Records[i]...)
		} else {
			dst = record.AppendString(dst, b.Records[i])
		}
		dst = append(dst, "}\n"...)
	}
	return dst
}

// host returns the hostname of a record, else the address of the sender, as text of JSON.
func (f *splunk) host() []byte {
	if len(f.fields.hostname) > 0 {
		return f.fields.hostname
	}
	host := f.fields.source[:max(bytes.LastIndexByte(f.fields.source, ':'), 0)]
	return bytes.TrimSuffix(bytes.TrimPrefix(host, []byte("[")), []byte("]"))
}

// settingCodes are the codes of answers with the status 400 that are about the token, the index or
// the URL, not about an event ("Possible error codes" in the manual Get Data In).
var settingCodes = []int{
	7,      // incorrect index
	10, 11, // data channel is missing, invalid
	14, // acknowledgements are disabled
	16, // authorization in the query is not enabled
}

// refused divides the events at the first invalid one, which Splunk names. The manual does not say
// whether the events before the invalid one are indexed, so these are sent again.
func (f *splunk) refused(text, reason string, _ *ship.Batch, part []int) error {
	var answer struct {
		Code    int  `json:"code"`
		Invalid *int `json:"invalid-event-number"`
	}
	if json.Unmarshal([]byte(text), &answer) != nil {
		return &refusal{reason: reason}
	}
	if slices.Contains(settingCodes, answer.Code) {
		return ship.Permanent(errors.New(reason))
	}
	refused := &refusal{reason: reason}
	if n := answer.Invalid; n != nil && *n >= 0 && *n < len(part) {
		refused.parts = [][]int{part[:*n], part[*n : *n+1], part[*n+1:]}
	}
	return refused
}
