package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A replaced process sends no answer with its own state, also if the process is replaced while the
// handler makes the answer.
func TestAReplacedProcessDoesNotAnswer(t *testing.T) {
	replaced := false
	h := fencedHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", "ledger")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "role active")
		replaced = r.URL.Path == "/late"
	}), func() bool { return replaced })
	codes := map[string]int{"/": http.StatusTeapot, "/late": http.StatusServiceUnavailable}
	for path, want := range codes {
		replaced = false
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		own, header := strings.Contains(w.Body.String(), "active"), w.Header().Get("X-From") != ""
		if w.Code != want || own != (path == "/") || header != own {
			t.Errorf("%s: %d %v %q", path, w.Code, w.Header(), w.Body)
		}
		if got := w.Header().Get("X-Content-Type-Options"); path == "/late" && got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, got)
		}
		// The client opens its next connection to the new process.
		if last := w.Header().Get("Connection") == "close"; last != (path == "/late") {
			t.Errorf("%s: the connection is closed: %t", path, last)
		}
	}
}
