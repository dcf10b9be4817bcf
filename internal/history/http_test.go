package history

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"
)

func TestHTTP(t *testing.T) {
	l := newListener("a", 2)
	c := newClock(l)
	for range 5 {
		l.Shards[1].Received.Add(7)
		c.after(time.Second)
	}
	ask := func(method, query string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(method, "/api/v1/history"+query, nil))
		want(t, method+" "+query+": Cache-Control", w.Header().Get("Cache-Control"), "no-store")
		return w
	}
	for query, expected := range map[string]History{
		"":                                c.Snapshot(0, true),
		"?":                               c.Snapshot(0, true),
		"?last=2":                         c.Snapshot(2, true),
		"?shards=false":                   c.Snapshot(0, false),
		"?last=3&shards=0":                c.Snapshot(3, false),
		"?last=9223372036854775807&other": c.Snapshot(0, true),
	} {
		w := ask(http.MethodGet, query)
		var got History
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK || !reflect.DeepEqual(got, expected) {
			t.Errorf("%q: got %d, %+v (%v), want %+v", query, w.Code, got, err, expected)
		}
		want(t, "type of "+query, w.Header().Get("Content-Type"), "application/json")
	}
	for query, text := range map[string]string{
		"?last=0":        "last: not a number of seconds from 1\n",
		"?last=-1":       "last: not a number of seconds from 1\n",
		"?last=":         "last: not a number of seconds from 1\n",
		"?last=10s":      "last: not a number of seconds from 1\n",
		"?shards=some":   "shards: neither true nor false\n",
		"?last=1;last=2": "invalid semicolon separator in query\n",
	} {
		w := ask(http.MethodGet, query)
		if w.Code != http.StatusBadRequest || w.Body.String() != text {
			t.Errorf("%q: got %d, %q, want 400, %q", query, w.Code, w.Body, text)
		}
	}
	want(t, "HEAD", ask(http.MethodHead, "").Code, http.StatusOK)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		w := ask(method, "")
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}

// The keys of the JSON are those of docs/metrics.md, and lists are never null.
func TestJSON(t *testing.T) {
	c := newClock(newListener("a", 1))
	for _, test := range []struct{ history, text string }{
		{`{"step_seconds":1,"listeners":[{"name":"a","received":[],"delivered":[],"bytes":[],"lost":[],"refused":[],` +
			`"cpu_percent":[],"queue_percent":[],"outputs":[]}]}`, "before the first step"},
		{`{"now":"2026-11-29T01:12:01Z","step_seconds":1,"listeners":[{"name":"a","received":[0],"delivered":[0],"bytes":[0],` +
			`"lost":[0],"refused":[0],"cpu_percent":[0],"queue_percent":[0],"outputs":[]}]}`, "after a step"},
	} {
		got, err := json.Marshal(c.Snapshot(0, false))
		if err != nil {
			t.Fatal(err)
		}
		want(t, test.text, string(got), test.history)
		c.after(time.Second)
	}
}

func BenchmarkHTTP(b *testing.B) {
	c := newClock(newListener("a", 64))
	for range span {
		c.after(time.Second)
	}
	for _, query := range []string{"", "?shards=false", "?last=1"} {
		b.Run("history"+query, func(b *testing.B) {
			for b.Loop() {
				c.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/"+query, nil))
			}
		})
	}
}
