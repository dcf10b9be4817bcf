package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A process that was replaced answers nothing of its own, also where it was replaced while it made
// the answer.
func TestAReplacedProcessDoesNotAnswer(t *testing.T) {
	replaced := false
	h := fencedHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-From", "ledger")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "role active")
		replaced = r.URL.Path == "/late"
	}), func() bool { return replaced })
	for path, want := range map[string]int{"/": http.StatusTeapot, "/late": http.StatusServiceUnavailable} {
		replaced = false
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if own := strings.Contains(w.Body.String(), "active"); w.Code != want || own != (path == "/") || (w.Header().Get("X-From") != "") != own {
			t.Errorf("%s: %d %v %q", path, w.Code, w.Header(), w.Body)
		}
		if got := w.Header().Get("X-Content-Type-Options"); path == "/late" && got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", path, got)
		}
		if last := w.Header().Get("Connection") == "close"; last != (path == "/late") { // the next one is for the new process
			t.Errorf("%s: the connection is closed: %t", path, last)
		}
	}
}
