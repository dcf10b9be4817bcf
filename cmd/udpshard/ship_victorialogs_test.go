package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship/shiptest"
)

// VictoriaLogs has all records, in each format that it reads.
func TestVictoriaLogsHasAllRecords(t *testing.T) {
	t.Parallel()
	if os.Getenv("UDPSHARD_TEST_SERVERS") == "" {
		t.Skip("builds VictoriaLogs, which takes minutes: set UDPSHARD_TEST_SERVERS=1")
	}
	program := shiptest.Build(t, "github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs")
	const query = "?_stream_fields=listener&_msg_field=message&_time_field=received_at"
	for _, tt := range []struct{ name, path, options string }{
		{"ndjson", "/insert/jsonline" + query, "format=ndjson"},
		{"elasticsearch", "/insert/elasticsearch/_bulk" + query, "format=elasticsearch"},
		{"loki", "/insert/loki/api/v1/push?_msg_field=message", "format=loki"},
		{"otlp", "/insert/opentelemetry/v1/logs", "format=otlp&compress=zstd"},
		{"syslog", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, syslog := shiptest.FreeTCP(t), shiptest.FreeTCP(t)
			logs := shiptest.Start(t, program, "-httpListenAddr="+server, "-syslog.listenAddr.tcp="+syslog,
				"-storageDataPath="+t.TempDir(), "-retentionPeriod=100y", "-futureRetention=100y")
			logs.AwaitTCP(t, server)
			logs.AwaitTCP(t, syslog)
			to, format := "http://"+server+tt.path+"#"+tt.options, "json"
			if tt.path == "" {
				to, format = "tcp://"+syslog, "rfc5424"
			}
			address, args := loadedArgs(t, to, "--format", format)
			p := startServe(t, nil, args...)
			defer watchTarget(t, p.http)()
			s := newSenders(t, address, 4)
			s.send(heavy(100_000, 1_000_000), 40_000)
			p.waitForLedger(s.sent)
			ledger := p.waitForShipped()
			sum := p.total()
			p.wantNoDrops(sum.Dropped.Kernel)
			p.wantStop()
			wantMessages(t, "http://"+server, s.sent-int(sum.Dropped.Kernel))
			if ledger.Retries > 0 {
				t.Errorf("%d attempts failed: %s", ledger.Retries, ledger.LastError)
			}
		})
	}
}

// wantMessages waits until a server has n messages of senders, each once
// (https://docs.victoriametrics.com/victorialogs/querying/).
func wantMessages(t *testing.T, server string, n int) {
	t.Helper()
	const query = "* | stats by (hostname) count() records, count_uniq(_msg) messages"
	var answer []byte
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		response, err := http.PostForm(server+"/select/logsql/query", url.Values{"query": {query}})
		if err != nil {
			t.Fatal(err)
		}
		answer, err = io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v: %s", response.Status, err, answer)
		}
		records, messages := 0, 0
		for line := range bytes.Lines(answer) {
			var host struct{ Hostname, Records, Messages string }
			if err := json.Unmarshal(line, &host); err != nil || host.Hostname == "" {
				t.Fatalf("%s: %v", line, err)
			}
			r, err1 := strconv.Atoi(host.Records)
			m, err2 := strconv.Atoi(host.Messages)
			if err1 != nil || err2 != nil {
				t.Fatalf("%s: %v, %v", line, err1, err2)
			}
			records, messages = records+r, messages+m
		}
		if records == n && messages == n {
			return
		}
		if records > n || time.Now().After(deadline) {
			t.Fatalf("want %d records, each once: %s", n, answer)
		}
	}
}
