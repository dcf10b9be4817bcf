package http

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/udpshard/udpshard/internal/ship"
)

// ndjson is an object a line, for ClickHouse (FORMAT JSONEachRow), VictoriaLogs, OpenObserve,
// Quickwit, Vector, Fluent Bit and Fluentd.
type ndjson struct{ plain }

func newNDJSON(*ship.Settings) (format, error) { return ndjson{}, nil }

func (ndjson) setHeader(h http.Header) { h.Set("Content-Type", "application/x-ndjson") }

func (ndjson) append(dst []byte, b *ship.Batch, part []int) []byte {
	for _, i := range part {
		dst = append(appendObject(dst, b, i), '\n')
	}
	return dst
}

// counts are the numbers of refused records in answers with the status 200: num_rejected_docs of
// Quickwit (https://quickwit.io/docs/reference/rest-api), and failed of each stream of OpenObserve
// (https://openobserve.ai/docs/reference/api/ingestion/logs/multi).
type counts struct {
	Rejected int `json:"num_rejected_docs"`
	Streams  []struct {
		Failed int    `json:"failed"`
		Error  string `json:"error"`
	} `json:"status"`
}

// accepted reads the counts of the answer. Other answers acknowledge.
func (ndjson) accepted(body io.Reader, part []int, r *results) error {
	answer := make([]byte, 1, 512)
	if n, _ := body.Read(answer); n == 0 || answer[0] != '{' {
		r.acknowledge(part) // a body that hangs does not hold the acknowledgement
		return nil
	}
	rest, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
	var of counts
	if json.Unmarshal(append(answer, rest...), &of) != nil {
		r.acknowledge(part)
		return nil
	}
	refused, message := of.Rejected, ""
	for _, s := range of.Streams {
		refused += s.Failed
		message = s.Error
	}
	r.partial(part, min(refused, len(part)), "answer of the store", message)
	return nil
}
