package http

import (
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
