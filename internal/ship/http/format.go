package http

import (
	"io"
	"net/http"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/packet/record"
)

// format writes requests for a kind of store, and reads the answers of the store.
type format interface {
	// setHeader sets Content-Type, and what else the store needs.
	setHeader(h http.Header)
	// append appends the body of a request with the records part of b.
	append(dst []byte, b *ship.Batch, part []int) []byte
	// accepted reads the body of an answer with a 2xx status, and notes the result of each record of
	// part. After an error, records without a result are sent again.
	accepted(body io.Reader, part []int, r *results) error
	// refused judges an answer with a 4xx status that is about the content of the request: the
	// error is a *refusal, or an *ship.Error. text is the start of the body, reason quotes text.
	refused(text, reason string, b *ship.Batch, part []int) error
}

// kind is a format, with the rules for the settings of its targets.
type kind struct {
	open       func(*ship.Settings) (format, error)
	options    []string // of the format
	path       string   // if the URL has none
	pathSuffix string   // that the path must have
	authScheme string   // of the token
}

// formatNames are the values of the option format; the first is the default.
var formatNames = []string{"ndjson", "elasticsearch", "loki", "splunk_hec", "otlp"}

var kinds = map[string]kind{
	"ndjson": {open: newNDJSON, authScheme: "Bearer"},
	"elasticsearch": {open: newElasticsearch, options: []string{"add_timestamp", "time"},
		pathSuffix: "/_bulk", authScheme: "Bearer"},
	"loki": {open: newLoki, options: []string{"labels", "tenant", "time"}, path: "/loki/api/v1/push",
		authScheme: "Bearer"},
	"splunk_hec": {open: newSplunk, options: []string{"source", "sourcetype", "time"},
		path: "/services/collector/event", authScheme: "Splunk"},
	"otlp": {open: newOTLP, path: "/v1/logs", authScheme: "Bearer"},
}

// plain is the common part of formats whose answers are not about single records.
type plain struct{}

func (plain) accepted(_ io.Reader, part []int, r *results) error {
	r.acknowledge(part)
	return nil
}

func (plain) refused(_, reason string, _ *ship.Batch, _ []int) error {
	return &refusal{reason: reason}
}

// appendObject appends record i as a JSON object: a record that is none becomes the member message.
func appendObject(dst []byte, b *ship.Batch, i int) []byte {
	if b.Format == ship.JSON {
		return append(dst, b.Records[i]...)
	}
	dst = append(dst, `{"message":`...)
	dst = record.AppendString(dst, b.Records[i])
	return append(dst, '}')
}
