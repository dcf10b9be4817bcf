package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/udpshard/udpshard/metrics"
)

// storedItem is a record in a request to a store.
type storedItem struct {
	message string // host and message; "": none
	id      string // by which the store knows the record again; "": none
}

// jsonItem returns the item of a record in JSON.
func jsonItem(t *testing.T, line []byte, id string) storedItem {
	var record struct{ Hostname, Message string }
	if err := json.Unmarshal(line, &record); err != nil {
		t.Errorf("record %.300q: %v", line, err)
	}
	return storedItem{record.Hostname + " " + record.Message, id}
}

// storeFormat is how a store reads requests, and how it answers.
type storeFormat struct {
	path    string
	decode  func(t *testing.T, body []byte) []storedItem
	refuses func(w http.ResponseWriter, bad int) // a request with a bad item; nil: items have answers
	failing int                                  // one of so many requests fails
	exactly bool                                 // each record is stored once
	byKey   bool                                 // the store knows requests again by Idempotency-Key
	inPart  bool                                 // the store keeps the good items of a refused request
}

var storeFormats = map[string]storeFormat{
	"ndjson": {path: "/", failing: 7, exactly: true, byKey: true,
		decode: decodeLines, refuses: refuseRequest},
	"elasticsearch": {path: "/_bulk", failing: 3, exactly: true, decode: decodeBulk},
	"loki": {path: "/loki/api/v1/push", failing: 7, exactly: true, inPart: true,
		decode: decodeStreams, refuses: refuseRequest},
	"splunk_hec": {path: "/services/collector/event", failing: 5, decode: decodeEvents,
		refuses: func(w http.ResponseWriter, bad int) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, bad)
		}},
	"otlp": {path: "/v1/logs", failing: 7, decode: decodeOTLP, refuses: refuseRequest},
}

func refuseRequest(w http.ResponseWriter, _ int) {
	http.Error(w, "the request has a bad item", http.StatusBadRequest)
}

func decodeLines(t *testing.T, body []byte) (items []storedItem) {
	for line := range bytes.Lines(body) {
		items = append(items, jsonItem(t, line, ""))
	}
	return items
}

func decodeBulk(t *testing.T, body []byte) (items []storedItem) {
	var action struct {
		Create struct {
			ID string `json:"_id"`
		} `json:"create"`
	}
	isAction := true
	for line := range bytes.Lines(body) {
		if !isAction {
			items = append(items, jsonItem(t, line, action.Create.ID))
		} else if err := json.Unmarshal(line, &action); err != nil || action.Create.ID == "" {
			t.Errorf("action %q: %v", line, err)
		}
		isAction = !isAction
	}
	return items
}

func decodeStreams(t *testing.T, body []byte) (items []storedItem) {
	var request struct {
		Streams []struct {
			Stream json.RawMessage
			Values [][2]string
		}
	}
	if err := json.Unmarshal(body, &request); err != nil {
		t.Error(err)
	}
	for _, stream := range request.Streams {
		for _, value := range stream.Values {
			id := string(stream.Stream) + value[0] + value[1]
			items = append(items, jsonItem(t, []byte(value[1]), id))
		}
	}
	return items
}

func decodeEvents(t *testing.T, body []byte) (items []storedItem) {
	for d := json.NewDecoder(bytes.NewReader(body)); ; {
		var object struct{ Event json.RawMessage }
		if err := d.Decode(&object); err == io.EOF {
			return items
		} else if err != nil {
			t.Error(err)
			return items
		}
		items = append(items, jsonItem(t, object.Event, ""))
	}
}

func decodeOTLP(t *testing.T, body []byte) (items []storedItem) {
	var request logs.LogsData // the same fields as ExportLogsServiceRequest
	if err := proto.Unmarshal(body, &request); err != nil {
		t.Error(err)
	}
	for _, resource := range request.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, record := range scope.LogRecords {
				host := ""
				for _, attribute := range record.Attributes {
					if attribute.Key == "hostname" {
						host = attribute.Value.GetStringValue()
					}
				}
				items = append(items, storedItem{message: host + " " + record.Body.GetStringValue()})
			}
		}
	}
	return items
}

// isBad says whether a store refuses a message: one of a thousand of each sender.
func isBad(message string) bool { return strings.HasSuffix(message, "500") }

// faultyStore is an HTTP server that fails in turn in each way that faults has.
type faultyStore struct {
	*httptest.Server
	t      *testing.T
	format storeFormat

	mu       sync.Mutex
	requests int
	failed   map[string]int  // how often by fault
	stored   map[string]int  // how often by message
	known    map[string]bool // identities of requests and records
}

var storeFaults = []string{"429", "503", "hang", "stored and hang", "reset in the body",
	"stored and reset", "reset in the answer", "busy items"}

// storeLimit is the largest body that a store accepts.
const storeLimit = 100 << 10

func newFaultyStore(t *testing.T, format storeFormat) *faultyStore {
	t.Helper()
	s := &faultyStore{t: t, format: format, failed: make(map[string]int), stored: make(map[string]int),
		known: make(map[string]bool)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// fault returns how the next request fails; "": not at all.
func (s *faultyStore) fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.requests%s.format.failing != 0 {
		return ""
	}
	fault := storeFaults[s.requests/s.format.failing%len(storeFaults)]
	s.failed[fault]++
	return fault
}

func (s *faultyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := s.fault()
	switch fault {
	case "429":
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case "503":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "reset in the body":
		r.Body.Read(make([]byte, 1000))
		resetConnection(w)
		return
	}
	unpacked, err := gzip.NewReader(r.Body)
	if err != nil {
		return // the client has given up
	}
	body, err := io.ReadAll(unpacked)
	if err != nil {
		return
	}
	if len(body) > storeLimit {
		s.mu.Lock()
		s.failed["413"]++
		s.mu.Unlock()
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	items := s.format.decode(s.t, body)
	answer := httptest.NewRecorder()
	if fault != "hang" {
		s.store(answer, r, items, fault == "busy items")
	}
	switch fault {
	case "hang", "stored and hang":
		<-r.Context().Done()
	case "stored and reset":
		resetConnection(w)
	default:
		if fault == "reset in the answer" {
			w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()+1))
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes()[:answer.Body.Len()])
		if fault == "reset in the answer" {
			http.NewResponseController(w).Flush()
			resetConnection(w)
		}
	}
}

// resetConnection ends the connection of a request with RST.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // has ended
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// store keeps the items of a request, and writes the answer. busy: some items are for a later time.
func (s *faultyStore) store(w http.ResponseWriter, r *http.Request, items []storedItem, busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.format.refuses == nil {
		s.storeEach(w, items, busy)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if s.format.byKey && s.known[key] {
		return
	}
	bad := slices.IndexFunc(items, func(i storedItem) bool { return isBad(i.message) })
	if bad < 0 || s.format.inPart {
		for _, item := range items {
			if !isBad(item.message) {
				s.storeOne(item)
			}
		}
	}
	if bad >= 0 {
		s.format.refuses(w, bad)
		return
	}
	s.known[key] = true
}

// storeOne stores an item unless the store has it.
func (s *faultyStore) storeOne(item storedItem) (isNew bool) {
	if item.id != "" && s.known[item.id] {
		return false
	}
	s.known[item.id] = true
	s.stored[item.message]++
	return true
}

// storeEach answers for each item, as Elasticsearch does.
func (s *faultyStore) storeEach(w http.ResponseWriter, items []storedItem, busy bool) {
	fmt.Fprint(w, `{"took":1,"errors":true,"items":[`)
	for i, item := range items {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		status, reason := http.StatusCreated, ""
		switch {
		case isBad(item.message):
			status, reason = http.StatusBadRequest, "mapper_parsing_exception"
		case busy && i%7 == 3:
			status, reason = http.StatusTooManyRequests, "es_rejected_execution_exception"
		case !s.storeOne(item):
			status, reason = http.StatusConflict, "version_conflict_engine_exception"
		}
		fmt.Fprintf(w, `{"create":{"_id":%q,"status":%d,"error":{"type":%q,"reason":"r"}}}`,
			item.id, status, reason)
	}
	fmt.Fprint(w, "]}")
}

// A store that fails in each way has all records but the bad ones: these are in rejected.json, each
// once. A store that uses the identity of requests or records has each record once.
func TestFaultyStores(t *testing.T) {
	for name, format := range storeFormats {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is that of pauses
			s := newFaultyStore(t, format)
			address, args := loadedArgs(t, s.URL+format.path+"#timeout=500ms&format="+name)
			p := startServe(t, nil, args...)
			defer watchTarget(t, p.http)()
			senders := newSenders(t, address, 4)
			senders.send(heavy(8_000, 50_000), 4_000)
			p.waitForLedger(senders.sent)
			ledger := p.waitForOutcome()
			p.wantNoDrops(p.total().Dropped.Kernel)
			p.wantStop()
			rejected := readRejected(t, args)
			for message, n := range rejected {
				if !isBad(message) || n != 1 {
					t.Errorf("%d times in rejected.json: %s", n, message)
				}
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			faults := 0
			for message, n := range s.stored {
				if isBad(message) || n > 1 && format.exactly {
					if faults++; faults < 10 {
						t.Errorf("%d times in the store: %s", n, message)
					}
				}
			}
			if uint64(len(s.stored)) != ledger.Acknowledged || uint64(len(rejected)) != ledger.Rejected {
				t.Errorf("%d messages are stored, %d rejected; the ledger is %+v",
					len(s.stored), len(rejected), ledger)
			}
			for _, fault := range append(storeFaults, "413") {
				if s.failed[fault] == 0 {
					t.Errorf("no request failed by %s: %v", fault, s.failed)
				}
			}
			t.Logf("%d requests, %d failures", s.requests, ledger.Retries)
		})
	}
}

// waitForOutcome waits until the target has acknowledged or refused all delivered records.
func (p *process) waitForOutcome() (ledger metrics.Output) {
	p.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		total := p.total()
		ledger = p.target()
		if ledger.Acknowledged+ledger.Rejected == total.Delivered {
			return ledger
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d delivered: %+v", total.Delivered, ledger)
		}
	}
}

// readRejected returns how often rejected.json has each message. args are those of serve.
func readRejected(t *testing.T, args []string) (messages map[string]int) {
	t.Helper()
	spool := args[slices.Index(args, "--spool")+1]
	messages = make(map[string]int)
	countLines(t, filepath.Join(spool, "rejected.json"), func(line []byte) {
		var rejected struct{ To, ID, Reason, Record string }
		if err := json.Unmarshal(line, &rejected); err != nil || rejected.ID == "" || rejected.To == "" ||
			!strings.HasPrefix(rejected.Reason, "400 Bad Request: ") {
			t.Errorf("rejected.json: %s: %v", line, err)
		}
		messages[jsonItem(t, []byte(rejected.Record), "").message]++
	})
	return messages
}
