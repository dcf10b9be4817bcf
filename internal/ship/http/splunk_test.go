package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// event is an event of "Format events for HTTP Event Collector".
type event struct {
	Time       json.Number     `json:"time"`
	Host       string          `json:"host"`
	Source     string          `json:"source"`
	SourceType string          `json:"sourcetype"`
	Event      json.RawMessage `json:"event"`
}

func readEvents(t *testing.T, body []byte) (all []event) {
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
}

func TestSplunk(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, r *request) { fmt.Fprint(w, `{"text":"Success","code":0}`) })
	to := open(t, s.URL, "format", "splunk_hec", "token", "T")
	b := shiptest.Batch(0,
		`{"timestamp":"2026-11-29T01:02:03.000000009Z","hostname":"a\"b","message":"x"}`,
		`{"message":"x","received_at":"2026-11-29T01:02:04.5Z","source":"[2001:db8::7]:514"}`, `{}`)
	b.SpooledAt = time.Unix(5, 6)
	if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
		t.Fatalf("%+v", e)
	}
	r := s.requests[0]
	if r.URL.Path != "/services/collector/event" || r.Header.Get("Authorization") != "Splunk T" {
		t.Errorf("%s, %s", r.URL, r.Header)
	}
	got := readEvents(t, r.body)
	for i, want := range []event{
		{"1795914123.000000009", `a"b`, "udpshard:syslog", "udpshard", b.Records[0]},
		{"1795914124.500000000", "2001:db8::7", "udpshard:syslog", "udpshard", b.Records[1]},
		{"5.000000006", "", "udpshard:syslog", "udpshard", b.Records[2]},
	} {
		if g := got[i]; g.Time != want.Time || g.Host != want.Host || g.Source != want.Source || g.SourceType != want.SourceType || !bytes.Equal(g.Event, want.Event) {
			t.Errorf("%+v, want %+v", g, want)
		}
	}
	b.Format = ship.Original
	send(t, open(t, s.URL+"/hec", "format", "splunk_hec", "source", "s\"", "sourcetype", "t"), b)
	if e := readEvents(t, s.requests[1].body)[2]; string(e.Event) != `"{}"` || e.Source != `s"` || e.SourceType != "t" {
		t.Errorf("%+v", e)
	}
}

// The answers are those of "Possible error codes" in the manual Get Data In. Splunk names the first
// invalid event, counted from 0.
func TestSplunkRefuses(t *testing.T) {
	s := newStore(t, func(s *store, w http.ResponseWriter, r *request) {
		for i, e := range readEvents(t, r.body) {
			if strings.Contains(string(e.Event), "BAD") {
				w.WriteHeader(400)
				fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, i)
				return
			}
		}
		s.keep(r)
	})
	b := shiptest.Numbered(0, 1000)
	bad := []int{0, 500, 637, 999}
	for _, i := range bad {
		b.Records[i] = []byte(`{"message":"BAD"}`)
	}
	e := send(t, open(t, s.URL, "format", "splunk_hec"), b)
	if e.Err != nil || !slices.Equal(rejected(e), bad) || !strings.Contains(e.Rejected[0].Reason, "Invalid data format") {
		t.Fatalf("%+v", e)
	}
	if s.mu.Lock(); len(s.kept) != 996 {
		t.Errorf("%d events", len(s.kept))
	}
	s.mu.Unlock()
	if n := s.forget(); n > 1+3*len(bad) {
		t.Errorf("%d requests", n)
	}

	for _, tt := range []struct {
		status    int
		answer    string
		permanent bool
	}{
		{400, `{"text":"Incorrect index","code":7,"invalid-event-number":0}`, true},
		{400, `{"text":"Data channel is missing","code":10}`, true},
		{401, `{"text":"Invalid authorization","code":3}`, true},
		{403, `{"text":"Invalid token","code":4}`, true},
		{503, `{"text":"Server is busy","code":9}`, false},
		{500, `{"text":"Internal server error","code":8}`, false},
	} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.answer)
		})
		e := send(t, open(t, s.URL, "format", "splunk_hec"), shiptest.Numbered(0, 3))
		if e.Err == nil || e.Permanent != tt.permanent || e.Acknowledged != 0 {
			t.Errorf("%s: %+v", tt.answer, e)
		}
	}
}
