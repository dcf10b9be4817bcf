package prom

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// get requests a path, with headers in pairs.
func get(handler http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	return ask(handler, http.MethodGet, path, headers...)
}

func ask(handler http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response := httptest.NewRecorder()
	handler.ServeHTTP(response, request)
	return response
}

// The status is the JSON of Ledger.Status.
func TestStatus(t *testing.T) {
	ledger := metrics.NewLedger("v1.2.3")
	ledger.Add(&metrics.Listener{Name: "logs", Shards: []*metrics.Shard{numbered()}})
	response := get(Handler(ledger), "/api/v1/status")
	var want bytes.Buffer
	if err := json.NewEncoder(&want).Encode(ledger.Status()); err != nil {
		t.Fatal(err)
	}
	if got := response.Body.String(); got != want.String() {
		t.Errorf("status %s, want %s", got, &want)
	}
	if response.Code != http.StatusOK || response.Header().Get("Content-Type") != "application/json" || response.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %v", response.Code, response.Header())
	}
}

func TestReady(t *testing.T) {
	ledger := metrics.NewLedger("x")
	handler := Handler(ledger)
	shards := []*metrics.Shard{metrics.NewShard(0, 0), metrics.NewShard(1, 0)}
	ledger.Add(&metrics.Listener{Name: "logs", Shards: shards})
	want := func(code int, text string) {
		t.Helper()
		got := get(handler, "/readyz")
		if got.Code != code || !strings.Contains(got.Body.String(), text) {
			t.Errorf("%d %q, want %d with %q", got.Code, got.Body, code, text)
		}
		if got.Header().Get("Cache-Control") != "no-store" {
			t.Error("the answer may be kept by a cache")
		}
		if health := get(handler, "/healthz"); health.Code != http.StatusOK || health.Body.String() != "up\n" {
			t.Errorf("/healthz: %d %q while the process is up", health.Code, health.Body)
		}
	}
	const hour = time.Hour // longer than the test
	want(http.StatusServiceUnavailable, "listener logs shard 0 does not read\nlistener logs shard 1 does not read\n")
	shards[0].Heartbeat(time.Now().Add(hour)) // a heartbeat before the thread starts
	want(http.StatusServiceUnavailable, "listener logs shard 0 does not read\nlistener logs shard 1 does not read\n")
	shards[0].StartThread(77, 0)
	want(http.StatusServiceUnavailable, "listener logs shard 1 does not read\n")
	shards[1].StartThread(78, 0)
	shards[1].Heartbeat(time.Now().Add(hour))
	want(http.StatusOK, "ready\n")
	shards[1].Heartbeat(time.Now().Add(-hour))
	want(http.StatusServiceUnavailable, "listener logs shard 1 has not read for 1h0m")
	shards[1].Heartbeat(time.Now().Add(hour))
	want(http.StatusOK, "ready\n")
	ledger.SetRole(metrics.Draining)
	want(http.StatusServiceUnavailable, "draining\n")
	ledger.SetRole(metrics.Standby)
	want(http.StatusServiceUnavailable, "standby\n")
	ledger.SetRole(metrics.Active)
	want(http.StatusOK, "ready\n")
}

// The index lists all endpoints, and each one answers.
func TestIndexListsEndpoints(t *testing.T) {
	handler := Handler(metrics.NewLedger("x"))
	response := get(handler, "/")
	if response.Code != http.StatusOK || !strings.HasPrefix(response.Header().Get("Content-Type"), "text/plain") {
		t.Errorf("%d, %v", response.Code, response.Header())
	}
	listed := 0
	for line := range strings.Lines(response.Body.String()) {
		path, _, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(path, "/") {
			continue
		}
		listed++
		if code := get(handler, path).Code; code != http.StatusOK {
			t.Errorf("%s: %d", path, code)
		}
	}
	if listed != 4 {
		t.Errorf("%d endpoints are listed, want 4:\n%s", listed, response.Body)
	}
}

// The handler changes nothing: methods other than GET and HEAD are refused.
func TestOnlyReading(t *testing.T) {
	handler := Handler(metrics.NewLedger("x"))
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/healthz", "/readyz"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			response := ask(handler, method, path)
			if response.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, response.Code)
			}
			if allow := response.Header().Get("Allow"); allow != "GET, HEAD" {
				t.Errorf("%s %s: Allow is %q", method, path, allow)
			}
		}
		if code := ask(handler, "HEAD", path).Code; code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, code)
		}
	}
	for _, path := range []string{"/nothing", "/metrics/", "/metrics/x", "/api", "/api/v1", "/api/v1/status/", "/readyz/x", "/index.html", "/debug/pprof/"} {
		if code := get(handler, path).Code; code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, code)
		}
	}
}

// Senders choose texts in some answers: browsers must not sniff a script or a page in them.
func TestNoAnswerIsSniffed(t *testing.T) {
	handler := Handler(metrics.NewLedger("x"))
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/healthz", "/readyz", "/none", "//readyz"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			if got := w.Header().Values("X-Content-Type-Options"); len(got) != 1 || got[0] != "nosniff" {
				t.Errorf("%s %s: %d with X-Content-Type-Options %q", method, path, w.Code, got)
			}
		}
	}
}
