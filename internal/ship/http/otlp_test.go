package http

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/udpshard/udpshard/internal/ship"
	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// readLogs reads a request: LogsData is equal to ExportLogsServiceRequest on the wire
// (opentelemetry/proto/logs/v1/logs.proto).
func readLogs(t *testing.T, body []byte) *logs.LogsData {
	t.Helper()
	data := new(logs.LogsData)
	if err := proto.Unmarshal(body, data); err != nil {
		t.Fatal(err)
	}
	return data
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func list(values ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}}
}

func pair(key string, value *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: value}
}

func object(members ...*common.KeyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: members}}}
}

func integer(n int64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
}

func TestOTLP(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {})
	to := open(t, s.URL, "format", "otlp")
	long := strings.Repeat("long ", 100)
	b := shiptest.Batch(0,
		`{"timestamp":"2026-11-29T01:02:03.000000009Z","hostname":"web1","facility":"auth","severity":"crit",`+
			`"structured_data":{"a@1":{"x":"1","y":["2","\"3"]},"b":{}},"message":"say \"hi\" æ\n`+long+`",`+
			`"received_at":"2026-11-29T01:02:04Z","source":"192.0.2.7:514","listener":"syslog","shard":12,"truncated":true}`,
		`{"timestamp":"1066-10-14T09:00:00Z","severity":"none","n":-1.5,"big":12345678901234567890,"null":null,"no":false}`)
	if e := send(t, to, b); e.Err != nil || len(e.Rejected) > 0 {
		t.Fatalf("%+v", e)
	}
	if r := s.requests[0]; r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("%s, %s", r.URL, r.Header)
	}
	want := &logs.LogsData{ResourceLogs: []*logs.ResourceLogs{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			pair("service.name", text("udpshard")), pair("listener", text("syslog"))}},
		ScopeLogs: []*logs.ScopeLogs{{
			Scope: &common.InstrumentationScope{Name: "udpshard"},
			LogRecords: []*logs.LogRecord{{
				TimeUnixNano: 1795914123000000009, ObservedTimeUnixNano: 1795914124000000000,
				SeverityNumber: logs.SeverityNumber_SEVERITY_NUMBER_ERROR2, SeverityText: "crit",
				Body: text("say \"hi\" æ\n" + long),
				Attributes: []*common.KeyValue{
					pair("hostname", text("web1")), pair("facility", text("auth")),
					pair("structured_data", object(
						pair("a@1", object(pair("x", text("1")), pair("y", list(text("2"), text(`"3`))))),
						pair("b", object()))),
					pair("source", text("192.0.2.7:514")), pair("shard", integer(12)),
					pair("truncated", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: true}}),
				},
			}, {
				SeverityText: "none",
				Attributes: []*common.KeyValue{
					pair("timestamp", text("1066-10-14T09:00:00Z")),
					pair("n", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: -1.5}}),
					pair("big", &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: 12345678901234567890}}),
					pair("null", &common.AnyValue{}),
					pair("no", &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: false}}),
				},
			}},
		}},
	}}}
	if got := readLogs(t, s.requests[0].body); !proto.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Records that are no JSON are bodies; an array in too many arrays stays JSON.
func TestOTLPText(t *testing.T) {
	s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) {})
	to := open(t, s.URL+"/x", "format", "otlp")
	b := shiptest.Batch(0, "<13>a\xff\"\\n")
	b.Format, b.SpooledAt = ship.Original, time.Unix(5, 6)
	send(t, to, b)
	r := readLogs(t, s.requests[0].body).ResourceLogs[0].ScopeLogs[0].LogRecords[0]
	if !proto.Equal(r, &logs.LogRecord{ObservedTimeUnixNano: 5000000006, Body: text("<13>a\uFFFD\"\\n")}) {
		t.Errorf("%v", r)
	}
	deep := `{"a":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`
	send(t, to, shiptest.Batch(0, deep))
	r = readLogs(t, s.requests[1].body).ResourceLogs[0].ScopeLogs[0].LogRecords[0]
	v := r.Attributes[0].Value
	for range 8 {
		v = v.GetArrayValue().Values[0]
	}
	if got := v.GetStringValue(); len(got) != 59984 {
		t.Errorf("%d bytes", len(got))
	}
}

// The answer of a partial success says how many records are rejected, and not which: all are
// rejected, and none is sent again.
func TestOTLPPartialSuccess(t *testing.T) {
	var partial []byte
	partial = protowire.AppendTag(partial, 1, protowire.VarintType)
	partial = protowire.AppendVarint(partial, 2)
	partial = protowire.AppendTag(partial, 2, protowire.BytesType)
	partial = protowire.AppendString(partial, "too old")
	long := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
	long = protowire.AppendTag(long, 2, protowire.BytesType)
	long = protowire.AppendString(long, "too"+strings.Repeat(" old", 10_000)) // about each record
	wrap := func(b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
	}
	warning := protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), "slow down")
	for _, tt := range []struct {
		answer []byte
		reason string
	}{
		{nil, ""}, {wrap(nil), ""}, {wrap(warning), ""}, {[]byte("{}"), ""}, {wrap(partial)[:3], ""},
		{wrap(partial), "partial success: 2 of 3 records rejected: too old"},
		{[]byte(`{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"too old"}}`),
			"partial success: 2 of 3 records rejected: too old"},
		{wrap(long), "partial success: 2 of 3 records rejected: too" + strings.Repeat(" old", 74) + " o …"},
	} {
		s := newStore(t, func(_ *store, w http.ResponseWriter, _ *request) { w.Write(tt.answer) })
		e := send(t, open(t, s.URL, "format", "otlp"), shiptest.Numbered(0, 3))
		switch {
		case tt.reason == "" && (e.Err != nil || len(e.Rejected) > 0),
			tt.reason != "" && (!slices.Equal(rejected(e), []int{0, 1, 2}) || e.Rejected[0].Reason != tt.reason):
			t.Errorf("%x: %+v", tt.answer, e)
		}
		if n := s.forget(); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
}

// A refused request is divided, so exactly the bad record is rejected.
func TestOTLPBadRecord(t *testing.T) {
	kept := 0
	s := newStore(t, func(_ *store, w http.ResponseWriter, r *request) {
		all := readLogs(t, r.body).ResourceLogs[0].ScopeLogs[0].LogRecords
		if strings.Contains(fmt.Sprint(all), "BAD") {
			w.WriteHeader(400)
			w.Write([]byte("\x08\x03\x12\x03bad"))
			return
		}
		kept += len(all)
	})
	b := shiptest.Numbered(0, 1000)
	b.Records[637] = []byte(`{"message":"BAD"}`)
	e := send(t, open(t, s.URL, "format", "otlp"), b)
	if e.Err != nil || !slices.Equal(rejected(e), []int{637}) || kept != 999 {
		t.Fatalf("%+v, %d records", e, kept)
	}
}
