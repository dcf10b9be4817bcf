package http

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// Some stores answer 200 and a number of refused records: these are not acknowledged.
func TestCountsOfRefused(t *testing.T) {
	for _, tt := range []struct{ answer, reason string }{
		{"", ""}, {"OK", ""}, {"{", ""}, {`{"status":"ok"}`, ""}, {`{"status":0}`, ""},
		{`{"num_docs_for_processing":3,"num_ingested_docs":3,"num_rejected_docs":0}`, ""},
		{`{"num_docs_for_processing":3,"num_ingested_docs":2,"num_rejected_docs":1}`, "1 of 3 records rejected"},
		{`{"code":200,"status":[{"name":"logs","successful":3,"failed":0}]}`, ""},
		{`{"code":200,"status":[{"name":"logs","successful":1,"failed":2,"error":"too old"}]}`,
			"2 of 3 records rejected: too old"},
	} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) { io.WriteString(w, tt.answer) })
		e := send(t, open(t, s.URL), shiptest.Numbered(0, 3))
		switch {
		case tt.reason == "" && (e.Err != nil || len(e.Rejected) > 0),
			tt.reason != "" && (len(e.Rejected) != 3 || !strings.Contains(e.Rejected[0].Reason, tt.reason)):
			t.Errorf("%s: %+v", tt.answer, e)
		}
	}
}
