package http

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// elasticsearch is the bulk API of Elasticsearch and OpenSearch
// (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk), which VictoriaLogs,
// OpenObserve, Quickwit and ZincSearch have as well. Each record is created with its RecordID as
// _id, so a record that is sent again is a version conflict, and stored once. The answer has an
// item for each record.
type elasticsearch struct {
	addTimestamp bool // @timestamp, which data streams demand
	clock        clock
	fields       fields
	reader       *bufio.Reader
}

func newElasticsearch(s *ship.Settings) (format, error) {
	add, err := s.Bool("add_timestamp", false)
	if err != nil {
		return nil, err
	}
	c, err := newClock(s)
	return &elasticsearch{addTimestamp: add, clock: c}, err
}

func (*elasticsearch) setHeader(h http.Header) { h.Set("Content-Type", "application/x-ndjson") }

func (e *elasticsearch) append(dst []byte, b *ship.Batch, part []int) []byte {
	// A RecordID ends in the number of the record, and needs no escapes.
	prefix := strings.TrimSuffix(b.RecordID(0), strconv.FormatUint(b.First, 10))
	for _, i := range part {
		dst = append(dst, `{"create":{"_id":"`...)
		dst = append(dst, prefix...)
		dst = strconv.AppendUint(dst, b.First+uint64(i), 10)
		dst = append(dst, "\"}}\n"...)
		if e.addTimestamp {
			dst = e.appendWithTimestamp(dst, b, i)
		} else {
			dst = appendObject(dst, b, i)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// appendWithTimestamp appends record i with the member @timestamp before the other members.
func (e *elasticsearch) appendWithTimestamp(dst []byte, b *ship.Batch, i int) []byte {
	dst = append(dst, `{"@timestamp":"`...)
	e.fields.read(b, i)
	if text := e.clock.text(&e.fields); text != nil {
		dst = append(dst, text...)
	} else {
		dst = b.SpooledAt.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	}
	dst = append(dst, `",`...)
	first := len(dst)
	dst = appendObject(dst, b, i)
	dst = append(dst[:first], dst[first+1:]...) // without the brace
	if dst[first] == '}' {
		dst = append(dst[:first-1], '}') // of an empty object
	}
	return dst
}

// item is the part of an item of the answer that has the result of a record.
type item struct {
	Status int `json:"status"`
	Error  struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
		Cause  struct {
			Reason string `json:"reason"`
		} `json:"caused_by"`
	} `json:"error"`
}

// accepted reads the items one by one: an answer may be as long as the request.
func (e *elasticsearch) accepted(body io.Reader, part []int, r *results) error {
	const start = 1 << 10 // of the answer: the member errors stands before the items
	if e.reader == nil {
		e.reader = bufio.NewReaderSize(nil, start)
	}
	e.reader.Reset(body)
	head, _ := e.reader.Peek(start)
	for key, value := range record.Members(head) {
		if string(key) == "errors" && string(value) == "false" {
			r.acknowledge(part)
			return nil
		}
	}
	d := json.NewDecoder(e.reader)
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return answerError(err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return answerError(err)
		}
		if key == "items" {
			return readItems(d, part, r)
		}
		var other json.RawMessage
		if err := d.Decode(&other); err != nil {
			return answerError(err)
		}
	}
	return answerError(errors.New("no items"))
}

// answerError is the error of an answer that can't be read; err is nil if the answer has no object.
func answerError(err error) error {
	if err == nil {
		err = errors.New("no object")
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("answer: %w", err)
}

// readItems reads the items of an answer. The first item that is temporary, or a matter of the
// configuration, is the error; the records of such items are sent again.
func readItems(d *json.Decoder, part []int, r *results) error {
	if token, err := d.Token(); err != nil || token != json.Delim('[') {
		return answerError(errors.New("items are no array"))
	}
	var again *ship.Error
	agains, n := 0, 0
	for ; d.More(); n++ {
		var actions map[string]item
		if err := d.Decode(&actions); err != nil {
			return answerError(err)
		}
		if n >= len(part) {
			continue
		}
		for _, got := range actions {
			if err := judgeItem(got, part[n:n+1], r); err != nil {
				if agains++; again == nil {
					again = err
				}
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return answerError(err)
	}
	switch {
	case n != len(part):
		return answerError(fmt.Errorf("%d items for %d records", n, len(part)))
	case again != nil:
		again.Err = fmt.Errorf("%d of %d records: %w", agains, n, again.Err)
		return again
	}
	return nil
}

// judgeItem notes the result of the record of an item. The error is not about the record.
func judgeItem(got item, one []int, r *results) *ship.Error {
	reason := got.Error.Type + ": " + got.Error.Reason
	if cause := got.Error.Cause.Reason; cause != "" {
		reason += ": " + cause
	}
	reason = statusText(got.Status) + ": " + quote(reason)
	switch code := got.Status; {
	case code/100 == 2, code == http.StatusConflict: // the record is there
		r.acknowledge(one)
		return nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		return &ship.Error{Err: errors.New(reason), Permanent: true}
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code/100 != 4:
		return &ship.Error{Err: errors.New(reason)}
	}
	r.reject(one, reason)
	r.doubtful++
	return nil
}

func (*elasticsearch) refused(_, reason string, _ *ship.Batch, _ []int) error {
	return &refusal{reason: reason}
}
