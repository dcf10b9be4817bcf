package http

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// TestVictoriaLogs brings 100,000 records to a real VictoriaLogs in each format, and finds them all
// by its query API.
func TestVictoriaLogs(t *testing.T) {
	if os.Getenv("UDPSHARD_TEST_SERVERS") == "" {
		t.Skip("builds VictoriaLogs, which takes minutes: set UDPSHARD_TEST_SERVERS=1")
	}
	program := shiptest.Build(t, "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	const query = "?_stream_fields=listener&_msg_field=message&_time_field=received_at"
	for _, tt := range []struct{ format, path, hostname, severity string }{
		{"ndjson", "/insert/jsonline" + query, "hostname", "severity"},
		{"elasticsearch", "/insert/elasticsearch/_bulk" + query, "hostname", "severity"},
		{"loki", "/insert/loki/api/v1/push?_msg_field=message", "hostname", "severity"},
		{"splunk_hec", "/insert/splunk/services/collector/event?_stream_fields=source&_msg_field=event.message&_time_field=time",
			"host", "event.severity"},
		{"otlp", "/insert/opentelemetry/v1/logs", "hostname", "severity_text"},
	} {
		for _, compress := range []string{"gzip", "zstd"} {
			if tt.format != "ndjson" && compress == "zstd" {
				continue
			}
			t.Run(tt.format+"-"+compress, func(t *testing.T) {
				address := shiptest.FreeTCP(t)
				server := shiptest.Start(t, program, "-httpListenAddr="+address, "-storageDataPath="+t.TempDir(),
					"-retentionPeriod=100y", "-futureRetention=100y")
				server.AwaitTCP(t, address)
				to := open(t, "http://"+address+tt.path, "format", tt.format, "compress", compress)
				const batches, size = 25, 4000
				for i := range batches {
					if e := send(t, to, shiptest.Numbered(i*size, size)); e.Err != nil || len(e.Rejected) > 0 {
						t.Fatalf("batch %d: %+v\n%s", i, e, server.Output())
					}
				}
				awaitCount(t, "http://"+address, batches*size)
				checkRecord(t, "http://"+address, tt.hostname, tt.severity)
			})
		}
	}
}

// ask sends a query in LogsQL (https://docs.victoriametrics.com/victorialogs/querying/).
func ask(t *testing.T, server, query string) []byte {
	t.Helper()
	answer, err := http.PostForm(server+"/select/logsql/query", url.Values{"query": {query}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%s: %s, %v: %s", query, answer.Status, err, body)
	}
	return bytes.TrimSpace(body)
}

// await waits until the server answers a query as wanted.
func await(t *testing.T, server, query string, ok func(answer []byte) bool) (answer []byte) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if answer = ask(t, server, query); ok(answer) {
			return answer
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s; %s", query, answer, ask(t, server, "* | limit 2"))
		}
	}
}

// awaitCount waits until the server has n records with different messages, and no more.
func awaitCount(t *testing.T, server string, n int) {
	t.Helper()
	want := fmt.Sprintf(`{"records":"%d","messages":"%d"}`, n, n)
	await(t, server, "* | stats count() records, count_uniq(_msg) messages", func(answer []byte) bool {
		return string(answer) == want
	})
}

// checkRecord checks the members of a record, by the names that the server gives them.
func checkRecord(t *testing.T, server, hostname, severity string) {
	t.Helper()
	line := await(t, server, `"record 12345"`, func(answer []byte) bool { return len(answer) > 0 })
	var got map[string]string
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	for key, want := range map[string]string{"_msg": "record 12345", hostname: "host4", severity: "crit"} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q: %s", key, got[key], want, line)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, got["_time"])
	want := time.Date(2026, 11, 29, 1, 2, 3, 0, time.UTC)
	if err != nil || at.Before(want) || at.After(want.Add(time.Second)) {
		t.Errorf("time %s, %v", got["_time"], err)
	}
}
