package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// bulk is the bulk API as "Bulk index or delete documents" of the Elasticsearch API documents it:
// two lines for each document, and an answer with an item for each, in the same order. refuse
// returns the status, type and reason of a document that is not created.
type bulk struct {
	documents map[string]string // by _id
	refuse    func(n int, document string) (status int, kind, reason string)
}

func (k *bulk) answer(t *testing.T) func(*store, http.ResponseWriter, *request) {
	return func(_ *store, w http.ResponseWriter, r *request) {
		lines := r.lines()
		if r.Header.Get("Content-Type") != "application/x-ndjson" || len(lines)%2 != 0 || !bytes.HasSuffix(r.body, []byte("\n")) {
			t.Errorf("content type %q, %d lines", r.Header.Get("Content-Type"), len(lines))
		}
		hasErrors := false
		var items []string
		for n := 0; n < len(lines); n += 2 {
			var action struct {
				Create struct {
					ID string `json:"_id"`
				} `json:"create"`
			}
			if err := json.Unmarshal([]byte(lines[n]), &action); err != nil || action.Create.ID == "" || len(action.Create.ID) > 512 {
				t.Errorf("%s: %v", lines[n], err)
			}
			id, document := action.Create.ID, lines[n+1]
			status, kind, reason := 201, "", ""
			if k.refuse != nil {
				status, kind, reason = k.refuse(n/2, document)
			}
			if _, exists := k.documents[id]; exists && status == 201 {
				status, kind, reason = 409, "version_conflict_engine_exception", "["+id+"]: version conflict, document already exists"
			}
			item := fmt.Sprintf(`{"create":{"_index":"logs","_id":%q,"status":%d`, id, status)
			if status == 201 {
				k.documents[id] = document
			} else {
				hasErrors = true
				item += fmt.Sprintf(`,"error":{"type":%q,"reason":%q,"caused_by":{"type":"x","reason":"cause"}}`, kind, reason)
			}
			items = append(items, item+"}}")
		}
		fmt.Fprintf(w, `{"took":30,"errors":%v,"items":[%s]}`, hasErrors, strings.Join(items, ","))
	}
}

func newBulk(t *testing.T, refuse func(int, string) (int, string, string)) (*bulk, *store, *target) {
	k := &bulk{documents: make(map[string]string), refuse: refuse}
	s := newStore(t, k.answer(t))
	return k, s, open(t, s.URL+"/logs/_bulk", "format", "elasticsearch")
}

// wantDocuments checks that the index has just these records of the batch.
func wantDocuments(t *testing.T, k *bulk, b *ship.Batch, without ...int) {
	t.Helper()
	want := make(map[string]string)
	for i, r := range b.Records {
		if !slices.Contains(without, i) {
			want[b.RecordID(i)] = string(r)
		}
	}
	if !maps.Equal(k.documents, want) {
		t.Errorf("%d documents, want %d", len(k.documents), len(want))
	}
}

func refuseBad(_ int, document string) (int, string, string) {
	if strings.Contains(document, "BAD") {
		return 400, "document_parsing_exception", "failed to parse"
	}
	return 201, "", ""
}

// A record that is sent again is stored once, and of a thousand records exactly the bad one is
// rejected, with one request.
func TestElasticsearch(t *testing.T) {
	k, s, to := newBulk(t, refuseBad)
	b := shiptest.Numbered(5, 1000)
	b.Records[637] = []byte(`{"message":"BAD"}`)
	for range 2 { // all are version conflicts at the second time
		e := send(t, to, b)
		want := "400 Bad Request: document_parsing_exception: failed to parse: cause"
		if e.Err != nil || !slices.Equal(rejected(e), []int{637}) || e.Rejected[0].Reason != want {
			t.Fatalf("%+v", e)
		}
		wantDocuments(t, k, b, 637)
		if n := s.forget(); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
	next := shiptest.Numbered(1005, 10)
	if e := send(t, to, next); e.Err != nil || len(e.Rejected) > 0 || len(k.documents) != 1009 {
		t.Errorf("%+v, %d documents", e, len(k.documents))
	}
}

// Items that are temporary are sent again, and items of the configuration are no rejections.
func TestElasticsearchItems(t *testing.T) {
	for status, permanent := range map[int]bool{429: false, 503: false, 500: false, 403: true, 404: true, 401: true} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			busy := true
			k, _, to := newBulk(t, func(n int, document string) (int, string, string) {
				if busy && n >= 500 && n%2 == 0 {
					return status, "es_rejected_execution_exception", "queue is full"
				}
				return refuseBad(n, document)
			})
			b := shiptest.Numbered(0, 1000)
			b.Records[3], b.Records[900], b.Records[901] = []byte(`{"a":"BAD"}`), []byte(`{"b":"BAD"}`), []byte(`{"c":"BAD"}`)
			e := send(t, to, b)
			if e.Err == nil || e.Permanent != permanent || e.Acknowledged != 500 || !slices.Equal(rejected(e), []int{3}) {
				t.Fatalf("%+v", e)
			}
			if text := e.Error(); !strings.Contains(text, "250 of 1000 records") || !strings.Contains(text, "queue is full") {
				t.Error(text)
			}
			busy = false
			rest := *b
			rest.First, rest.Records = 500, b.Records[500:]
			e = send(t, to, &rest)
			if e.Err != nil || !slices.Equal(rejected(e), []int{400, 401}) {
				t.Fatalf("%+v", e)
			}
			wantDocuments(t, k, b, 3, 900, 901)
		})
	}
}

// Answers of servers that are not Elasticsearch, and broken answers.
func TestElasticsearchAnswers(t *testing.T) {
	b := shiptest.Numbered(0, 2)
	for _, tt := range []struct{ answer, want string }{
		{`{"took":1,"errors":false,"items":[]}`, ""},
		{`{"took":1,"errors":false}`, ""},
		{`{"items":[{"create":{"status":201}},{"create":{"status":200}}],"errors":false}`, ""},
		{`{"items":[{"create":{"status":201}},{"create":{"status":409}}],"errors":true}`, ""},
		{`{"errors":true}`, "no items"},
		{`{"errors":true,"items":3}`, "no array"},
		{`{"errors":true,"items":[{"create":{"status":201}}]}`, "1 items for 2 records"},
		{`{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":201}}]}`, "3 items for 2 records"},
		{`{"errors":true,"items":[{"create":{"status":201}},{"cre`, "unexpected EOF"},
		{`{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}}`, "unexpected EOF"},
		{`{"errors":true,"it`, "unexpected EOF"},
		{`<answer>`, "invalid character"},
		{`[]`, "no object"},
		{``, "unexpected EOF"},
	} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) { w.Write([]byte(tt.answer)) })
		e := send(t, open(t, s.URL+"/_bulk", "format", "elasticsearch"), b)
		switch {
		case tt.want == "" && (e.Err != nil || len(e.Rejected) > 0),
			tt.want != "" && (e.Err == nil || e.Permanent || len(e.Rejected) > 0 || !strings.Contains(e.Error(), tt.want)):
			t.Errorf("%s: %+v, want %s", tt.answer, e, tt.want)
		}
	}
}

// A connection that is reset amid the answer acknowledges nothing that was not read.
func TestElasticsearchReset(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {
		w.Header().Set("Content-Length", "1000000")
		w.Write([]byte(`{"took":1,"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{"type":"x"}}}`))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	e := send(t, open(t, s.URL+"/_bulk", "format", "elasticsearch"), shiptest.Numbered(0, 10))
	if e.Err == nil || e.Permanent || e.Acknowledged != 2 || !slices.Equal(rejected(e), []int{1}) {
		t.Errorf("%+v", e)
	}
}

func TestElasticsearchTimestamp(t *testing.T) {
	const sent, received = "2026-11-29T01:02:03.123456789+02:00", "2026-11-29T01:02:03.400000Z"
	lines := []string{
		`{"timestamp":"` + sent + `","message":"a","received_at":"` + received + `"}`,
		`{"message":"b","received_at":"` + received + `"}`,
		`{"timestamp":"1066-10-14T09:00:00Z","received_at":"` + received + `"}`,
	}
	for name, want := range map[string][]string{"timestamp": {sent, received, received}, "received_at": {received, received, received}} {
		s := newStore(t, nil)
		to := open(t, s.URL+"/logs/_bulk", "format", "elasticsearch", "add_timestamp", "true", "time", name)
		to.Send(t.Context(), shiptest.Batch(0, lines...))
		for i, line := range lines {
			if want := `{"@timestamp":"` + want[i] + `",` + line[1:]; s.kept[2*i+1] != want {
				t.Errorf("%s: %s, want %s", name, s.kept[2*i+1], want)
			}
		}
	}
	s := newStore(t, nil)
	b := shiptest.Batch(0, "<13>a")
	b.Format = ship.RFC5424
	open(t, s.URL+"/logs/_bulk", "format", "elasticsearch", "add_timestamp", "true").Send(t.Context(), b)
	want := `{"@timestamp":"` + b.SpooledAt.UTC().Format("2006-01-02T15:04:05.000000Z") + `","message":"<13>a"}`
	if s.kept[1] != want {
		t.Errorf("%s, want %s", s.kept[1], want)
	}
}

// An answer without an end ends in an error, and is not kept in memory.
func TestElasticsearchEndlessAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		part := []byte(strings.Repeat("x", 1<<20))
		_, err := w.Write([]byte(`{"errors":true,"took":"`))
		for err == nil {
			_, err = w.Write(part)
		}
	})
	start := time.Now()
	e := send(t, open(t, s.URL+"/_bulk", "format", "elasticsearch"), shiptest.Numbered(0, 3))
	if e.Err == nil || e.Acknowledged != 0 || time.Since(start) > prompt {
		t.Errorf("%+v after %v", e, time.Since(start))
	}
}
