package http

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// A page of HTML acknowledges nothing, whatever its status is.
func TestPage(t *testing.T) {
	for page, acknowledges := range map[string]bool{
		"\n<!DOCTYPE html>\n<title>Log in</title>": false, "<html><body>console</body></html>": false,
		"ok": true, "": true,
	} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, page)
		})
		e := send(t, open(t, s.URL), shiptest.Numbered(0, 3))
		isError := e.Permanent && e.Acknowledged == 0 && strings.Contains(e.Error(), "a page of HTML")
		if acknowledges && e.Err != nil || !acknowledges && !isError {
			t.Errorf("%q: %+v", page, e)
		}
	}
	s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `{"num_rejected_docs":1}`)
	})
	if e := send(t, open(t, s.URL), shiptest.Numbered(0, 3)); len(e.Rejected) != 3 {
		t.Errorf("the answer is lost: %+v", e)
	}
}
