package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// fakeLoki is the push API as "Ingest logs" of the Loki HTTP API documents it. Lines before oldest
// are refused, as "Request Validation & Rate-Limit Errors" documents it: the other lines of the
// request are stored, and of several equal lines of a stream one.
type fakeLoki struct {
	lines    map[string]bool // labels, time and text
	oldest   time.Time
	perTrace bool // refused by the stream (too_far_behind), else by the tenant
	bad      string
}

func (l *fakeLoki) answer(t *testing.T) func(*store, http.ResponseWriter, *request) {
	return func(_ *store, w http.ResponseWriter, r *request) {
		var push struct {
			Streams []struct {
				Stream map[string]string `json:"stream"`
				Values [][2]string       `json:"values"`
			} `json:"streams"`
		}
		if err := json.Unmarshal(r.body, &push); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, content type %q", err, r.Header.Get("Content-Type"))
		}
		var refusals strings.Builder
		for _, s := range push.Streams {
			labels, _ := json.Marshal(s.Stream)
			if len(s.Stream) == 0 {
				t.Error("a stream without labels")
			}
			refused := 0
			for _, v := range s.Values {
				ns, err := strconv.ParseInt(v[0], 10, 64)
				if err != nil {
					t.Error(err)
				}
				at := time.Unix(0, ns).UTC()
				if l.bad != "" && strings.Contains(v[1], l.bad) {
					fmt.Fprintf(&refusals, "Max entry size '262144' bytes exceeded for stream '%s'\n", labels)
					continue
				}
				if !at.Before(l.oldest) {
					l.lines[fmt.Sprint(string(labels), ns, v[1])] = true
					continue
				}
				if refused++; l.perTrace {
					fmt.Fprintf(&refusals, "entry with timestamp %s ignored, reason: 'entry too far behind, entry timestamp is: %s, oldest acceptable timestamp is: %s',\n",
						at, at.Format(time.RFC3339), l.oldest.Format(time.RFC3339))
				} else {
					refusals.Reset()
					fmt.Fprintf(&refusals, "entry for stream '%s' has timestamp too old: %s, oldest acceptable timestamp is: %s\n",
						labels, at.Format(time.RFC3339), l.oldest.Format(time.RFC3339))
				}
			}
			if refused > 0 && l.perTrace {
				fmt.Fprintf(&refusals, "user 'fake', total ignored: %d out of %d for stream: %s\n", refused, len(s.Values), labels)
			}
		}
		if refusals.Len() > 0 {
			w.WriteHeader(400)
			w.Write([]byte(refusals.String()))
			return
		}
		w.WriteHeader(204)
	}
}

// lokiBatch returns records of four severities, one a second, some of them a year old.
func lokiBatch(n int, old ...int) *ship.Batch {
	start := time.Date(2026, 11, 29, 1, 0, 0, 123456789, time.UTC)
	var records []string
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second)
		if slices.Contains(old, i) {
			at = at.AddDate(-1, 0, 0)
		}
		records = append(records, fmt.Sprintf(`{"timestamp":%q,"hostname":"h%d","severity":%q,"message":"say \"%d\""}`,
			at.Format(time.RFC3339Nano), i%3, []string{"err", "info", "crit", "debug"}[i%4], i))
	}
	return shiptest.Batch(0, records...)
}

func TestLoki(t *testing.T) {
	l := &fakeLoki{lines: make(map[string]bool)}
	s := newStore(t, l.answer(t))
	to := open(t, s.URL, "format", "loki", "labels", "hostname, severity", "tenant", "a|b")
	b := lokiBatch(100)
	for range 2 {
		if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
			t.Fatalf("%+v", e)
		}
	}
	if len(l.lines) != 100 {
		t.Errorf("%d lines", len(l.lines))
	}
	at := time.Date(2026, 11, 29, 1, 0, 42, 123456789, time.UTC)
	line := `{"hostname":"h0","severity":"crit"}` + fmt.Sprint(at.UnixNano()) + string(b.Records[42])
	if !l.lines[line] {
		t.Errorf("no line %s", line)
	}
	if r := s.requests[0]; r.URL.Path != "/loki/api/v1/push" || r.Header.Get("X-Scope-OrgID") != "a|b" {
		t.Errorf("%s, tenant %q", r.URL, r.Header.Get("X-Scope-OrgID"))
	}
}

// Lines without a time or labels have those of the listener, and the order within a stream is kept.
func TestLokiDefaults(t *testing.T) {
	s := newStore(t, nil)
	to := open(t, s.URL+"/x/push", "format", "loki")
	b := shiptest.Batch(0, `{"message":"a"}`, `{"severity":"err","timestamp":"2026-11-29T01:02:03Z","received_at":"2026-11-29T01:02:04Z"}`, `{"message":"b"}`)
	b.Listener = `a"b`
	b.SpooledAt = time.Unix(5, 6)
	send(t, to, b)
	const want = `{"streams":[{"stream":{"listener":"a\"b"},"values":[["5000000006","{\"message\":\"a\"}"],["5000000006","{\"message\":\"b\"}"]]},` +
		`{"stream":{"listener":"a\"b","severity":"err"},"values":[["1795914123000000000","{\"severity\":\"err\",\"timestamp\":\"2026-11-29T01:02:03Z\",\"received_at\":\"2026-11-29T01:02:04Z\"}"]]}]}`
	if got := string(s.requests[0].body); got != want || s.requests[0].URL.Path != "/x/push" {
		t.Errorf("%s: %s\nwant %s", s.requests[0].URL.Path, got, want)
	}
	s.forget()
	send(t, open(t, s.URL, "format", "loki", "labels", "appname", "time", "received_at"), b)
	if got := string(s.requests[0].body); !strings.Contains(got, `{"listener":"a\"b"}`) || !strings.Contains(got, "1795914124000000000") {
		t.Error(got)
	}
}

// Lines that are too old are rejected alone, with few requests, as are lines that are too long.
func TestLokiTooOld(t *testing.T) {
	var old []int
	for i := 3; i < 1000; i += 5 {
		old = append(old, i)
	}
	for _, perTrace := range []bool{false, true} {
		for _, old := range [][]int{old, {637}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
			l := &fakeLoki{lines: make(map[string]bool), oldest: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), perTrace: perTrace}
			s := newStore(t, l.answer(t))
			b := lokiBatch(1000, old...)
			e := send(t, open(t, s.URL, "format", "loki"), b)
			if e.Err != nil || !slices.Equal(rejected(e), old) || !strings.Contains(e.Rejected[0].Reason, "oldest acceptable") {
				t.Fatalf("%+v", e)
			}
			if len(l.lines) != 1000-len(old) {
				t.Errorf("%d lines", len(l.lines))
			}
			if n := s.forget(); n > 8 {
				t.Errorf("%d requests for %d old lines, by stream %v", n, len(old), perTrace)
			}
		}
	}
	l := &fakeLoki{lines: make(map[string]bool), bad: `"637\`}
	s := newStore(t, l.answer(t))
	e := send(t, open(t, s.URL, "format", "loki"), lokiBatch(1000))
	if e.Err != nil || !slices.Equal(rejected(e), []int{637}) || len(l.lines) != 999 {
		t.Fatalf("%+v, %d lines", e, len(l.lines))
	}
}
