package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// get asks for a path, with headers in pairs.
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

func decode(t *testing.T, response *httptest.ResponseRecorder, into any) {
	t.Helper()
	if err := json.Unmarshal(response.Body.Bytes(), into); err != nil {
		t.Errorf("%v: %s", err, response.Body)
	}
}

// ledgerAt returns a ledger that began at a known time.
func ledgerAt(version string) *Ledger {
	l := NewLedger(version)
	l.Started = time.Date(2026, 11, 20, 11, 2, 3, 456_789_000, time.FixedZone("", 5*3600))
	l.lineage = func() uint64 { return countersID }
	return l
}

const countersID = 0xabcdef

// statusSample is the contract's, byte for byte but for the version and the
// time, which it leaves open, and what comes behind shards.
const statusSample = `{"version":"…","pid":1,"role":"active","started_at":"…","counters_id":"…","standbys":[{"pid":1,"pid_namespace":4026532281,"version":"v1.2.2"}],"takeovers":{"upgrade":0,"stop":0,"died":0,"stalled":0,"restart":0,"patience_factor":1},"listeners":[{"name":"syslog","address":"127.0.0.1:5514",
 "protocol":"syslog","steer":"hash","shards":[{"shard":0,"cpu":0,"thread":77,"received":0,"bytes":0,"batches":0,
 "delivered":0,"replied":0,"in_flight":0,"truncated":0,"unparsed":0,"malformed_header":0,
 "dropped":{"kernel":0,"not_allowed":0,"rate_limited":0,"malformed":0,"output":0,"reply":0,"lost_in_crash":0},
 "queue_bytes":0,"buffer_bytes":0}],
 "steering":{"in_force":"auto","buckets":256,"moved_buckets":3,"sprayed_sources":["10.0.0.7:514"],"stalled_shards":[0],"avoided_shards":[0,1],"changes":{"spray":1}},
 "top_senders":[{"source":"10.0.0.7:514","per_second":90000,"percent":91,"sprayed":true}],"skew":"91% come from one sender, 10.0.0.7:514; spraying it"}]}`

func TestStatusIsTheContracts(t *testing.T) {
	want := strings.ReplaceAll(statusSample, "\n ", "")
	want = strings.Replace(want, `"version":"…"`, `"version":"v1.2.3"`, 1)
	want = strings.Replace(want, `"started_at":"…"`, `"started_at":"2026-11-20T06:02:03.456Z"`, 1)
	want = strings.Replace(want, `"counters_id":"…"`, fmt.Sprintf(`"counters_id":"%016x"`, countersID), 1)
	want = strings.Replace(want, `"pid":1`, fmt.Sprintf(`"pid":%d`, os.Getpid()), 1) + "\n"

	page := NewShard(0, 0)
	page.StartThread(77, 0)
	ledger := ledgerAt("v1.2.3")
	listener := &Listener{Name: "syslog", Address: "127.0.0.1:5514", Protocol: "syslog", Shards: []*Shard{page}}
	listener.SetSteering(Steering{
		Mode: "hash", InForce: "auto", Buckets: 256, MovedBuckets: 3, SprayedSources: []string{"10.0.0.7:514"}, StalledShards: []int{0}, AvoidedShards: []int{0, 1},
		Changes:    map[string]uint64{"spray": 1},
		TopSenders: []Sender{{Source: "10.0.0.7:514", PerSecond: 90_000, Percent: 91, Sprayed: true}},
		Skew:       "91% come from one sender, 10.0.0.7:514; spraying it",
	})
	ledger.Add(listener)
	ledger.SetStandbys(func() []StandbyStatus { return []StandbyStatus{{ProcessStatus{1, 4026532281}, "v1.2.2"}} })
	response := get(ledger.Handler(nil), "/api/v1/status")
	if got := response.Body.String(); got != want {
		t.Errorf("status\n%swant\n%s", got, want)
	}
	if response.Code != http.StatusOK || response.Header().Get("Content-Type") != "application/json" || response.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d, %v", response.Code, response.Header())
	}
}

// unsteered is what a listener tells that was not steered yet.
const unsteered = `"steering":{"in_force":"","buckets":0,"moved_buckets":0,"sprayed_sources":[],"stalled_shards":[],"avoided_shards":[],"changes":{}},"top_senders":[],"skew":""`

// Every key tells its own counter.
func TestStatusFigures(t *testing.T) {
	ledger := ledgerAt("x")
	ledger.Add(&Listener{Name: "a", Shards: []*Shard{NewShard(0, 0), numbered()}})
	ledger.Add(&Listener{Name: "b"})
	ledger.SetRole(Draining)
	const want = `"role":"draining","started_at":"2026-11-20T06:02:03.456Z","counters_id":"0000000000abcdef","standbys":[],"takeovers":{"upgrade":0,"stop":0,"died":0,"stalled":0,"restart":0,"patience_factor":1},"listeners":[` +
		`{"name":"a","address":"","protocol":"","steer":"","shards":[` +
		`{"shard":0,"cpu":0,"thread":0,"received":0,"bytes":0,"batches":0,"delivered":0,"replied":0,"in_flight":0,"truncated":0,"unparsed":0,"malformed_header":0,` +
		`"dropped":{"kernel":0,"not_allowed":0,"rate_limited":0,"malformed":0,"output":0,"reply":0,"lost_in_crash":0},"queue_bytes":0,"buffer_bytes":0},` +
		`{"shard":1,"cpu":2,"thread":77,"received":1000000,"bytes":10,"batches":11,"delivered":12,"replied":13,"in_flight":999918,"truncated":14,"unparsed":15,"malformed_header":26,` +
		`"dropped":{"kernel":21,"not_allowed":16,"rate_limited":17,"malformed":18,"output":19,"reply":20,"lost_in_crash":0},"queue_bytes":22,"buffer_bytes":23}],` + unsteered + `},` +
		`{"name":"b","address":"","protocol":"","steer":"","shards":[],` + unsteered + `}]}` + "\n"
	if got := get(ledger.Handler(nil), "/api/v1/status").Body.String(); !strings.HasSuffix(got, want) {
		t.Errorf("status\n%swant at its end\n%s", got, want)
	}
}

// Without a listener there is a list all the same.
func TestStatusOfNothing(t *testing.T) {
	if got := get(ledgerAt("x").Handler(nil), "/api/v1/status").Body.String(); !strings.HasSuffix(got, `"listeners":[]}`+"\n") {
		t.Errorf("status %s", got)
	}
}

func TestReady(t *testing.T) {
	ledger := NewLedger("x")
	handler := ledger.Handler(nil)
	pages := []*Shard{NewShard(0, 0), NewShard(1, 0)}
	ledger.Add(&Listener{Name: "logs", Shards: pages})
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
	const hour = time.Hour // nothing in the test takes so long
	want(http.StatusServiceUnavailable, "listener logs shard 0 does not read\nlistener logs shard 1 does not read\n")
	pages[0].Heartbeat(time.Now().Add(hour)) // as its standbys are told before it has a thread
	want(http.StatusServiceUnavailable, "listener logs shard 0 does not read\nlistener logs shard 1 does not read\n")
	pages[0].StartThread(77, 0)
	want(http.StatusServiceUnavailable, "listener logs shard 1 does not read\n")
	pages[1].StartThread(78, 0)
	pages[1].Heartbeat(time.Now().Add(hour))
	want(http.StatusOK, "ready\n")
	pages[1].Heartbeat(time.Now().Add(-hour))
	want(http.StatusServiceUnavailable, "listener logs shard 1 has not read for 1h0m")
	pages[1].Heartbeat(time.Now().Add(hour))
	want(http.StatusOK, "ready\n")
	ledger.SetRole(Draining)
	want(http.StatusServiceUnavailable, "draining\n")
	ledger.SetRole(Standby)
	want(http.StatusServiceUnavailable, "standby\n")
	ledger.SetRole(Active)
	want(http.StatusOK, "ready\n")
}

// A shard may be away for a second; an idle one comes back every 50 ms.
func TestNotReadyAfterASecond(t *testing.T) {
	ledger := NewLedger("x")
	page := NewShard(0, 0)
	ledger.Add(&Listener{Name: "logs", Shards: []*Shard{page}})
	now := time.Now()
	page.StartThread(77, 0)
	page.Heartbeat(now)
	if why := ledger.NotReady(now.Add(time.Second)); why != nil {
		t.Errorf("after a second: %v", why)
	}
	ledger.Listeners()[0].SetSteering(Steering{StalledShards: []int{1}})
	if why := ledger.NotReady(now.Add(600 * time.Millisecond)); why != nil {
		t.Errorf("another shard is stalled: %v", why)
	}
	ledger.Listeners()[0].SetSteering(Steering{StalledShards: []int{0}})
	stalled := "listener logs shard 0 has not read for 600ms"
	if why := ledger.NotReady(now.Add(600 * time.Millisecond)); len(why) != 1 || why[0] != stalled {
		t.Errorf("stalled: %q, want %q", why, stalled)
	}
	ledger.Listeners()[0].SetSteering(Steering{})
	want := "listener logs shard 0 has not read for 1.2s"
	if why := ledger.NotReady(now.Add(1234 * time.Millisecond)); len(why) != 1 || why[0] != want {
		t.Errorf("after 1.234 s: %q, want %q", why, want)
	}
}

// The index lists what there is, and all of it answers.
func TestIndexListsEndpoints(t *testing.T) {
	handler := NewLedger("x").Handler(nil)
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

// Nothing on it changes anything.
func TestOnlyReading(t *testing.T) {
	handler := NewLedger("x").Handler(nil)
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

// Senders choose texts in some answers: no browser takes one for a script or a page.
func TestNoAnswerIsSniffed(t *testing.T) {
	handler := ledgerAt("x").Handler(nil)
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
