package statuspage

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/internal/history"
	"github.com/udpshard/udpshard/internal/steer"
	"github.com/udpshard/udpshard/metrics"
)

// get sends a request to a mux that has the page of an example.
func get(t *testing.T, e *example, request *http.Request) *http.Response {
	t.Helper()
	mux := http.NewServeMux()
	e.source().register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, request)
	return w.Result()
}

// text returns the page of an example.
func text(t *testing.T, e *example) string {
	t.Helper()
	body, err := io.ReadAll(get(t, e, httptest.NewRequest(http.MethodGet, "/", nil)).Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestPage(t *testing.T) {
	collecting := newExample()
	collecting.add("syslog", "syslog", "[::]:5514", 2, 0, 0, 0)
	draining := typical()
	draining.Role = metrics.Draining
	failed := typical()
	failed.Config.LastReloadSuccessful = false
	for name, c := range map[string]struct {
		e    *example
		want []string
	}{
		"typical": {typical(), []string{
			"<title>Nothing lost – front-1 – udpshard</title>", "Nothing lost since 2026-11-18 01:12", "<dd>3 d 4 h</dd>",
			"<dd>2, last on 2026-11-26 05:30: upgrade</dd>", "1: PID 4790 (0.1.0)", "kafka://broker-1:9092,broker-2:9092/syslog",
			"91,302", "7 s ago", "198.51.100.0/24", "90,240 over the rate limit", "[2001:db8::7:1]:40214", `href="/api/v1/history"`,
		}},
		"losing": {losing(), []string{
			"<title>Losing – front-1 – udpshard</title>", "1,843 lost on syslog, shard 3, last 12 s ago: the receive buffer was full",
			"sysctl -w net.core.rmem_max=33554432", "1,843 lost, in 2 seconds", "connection refused", "lost_in_crash",
		}},
		"names":      {large(), []string{"ありがとう-&lt;b&gt;&amp;amp;-0", "stalled, avoided", "Shards 0 to 21"}},
		"standby":    {standby(), []string{"<title>Standby – front-1", "Standby: the active process has the counters", "holds the sockets", "dns at 192.0.2.1:53, 4 shards"}},
		"draining":   {draining, []string{"draining: reads what is queued"}},
		"collecting": {collecting, []string{"collecting", "no datagrams yet"}},
		"reload":     {failed, []string{"the last reload failed"}},
	} {
		got := text(t, c.e)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: the page has no %q", name, want)
			}
		}
	}
}

// Only GET and HEAD are answered, with types that fit.
func TestFiles(t *testing.T) {
	for path, contentType := range map[string]string{
		"/": "text/html; charset=utf-8", "/status.css": "text/css; charset=utf-8",
		"/status.js": "text/javascript; charset=utf-8", "/favicon.svg": "image/svg+xml",
	} {
		for method, code := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "PUT": 405, "DELETE": 405} {
			r := get(t, typical(), httptest.NewRequest(method, path, nil))
			if r.StatusCode != code || code == 200 && r.Header.Get("Content-Type") != contentType {
				t.Errorf("%s %s: got %d, %s", method, path, r.StatusCode, r.Header.Get("Content-Type"))
			}
			tag := r.Header.Get("ETag")
			if path == "/" || code != 200 {
				continue
			}
			again := httptest.NewRequest(method, path, nil)
			again.Header.Set("If-None-Match", tag)
			if r := get(t, typical(), again); tag == "" || r.StatusCode != http.StatusNotModified {
				t.Errorf("%s %s with ETag %s: got %d", method, path, tag, r.StatusCode)
			}
		}
	}
}

// The page explains each drop reason and each mode of steering.
func TestExplanations(t *testing.T) {
	for _, c := range metrics.DropReasons() {
		if dropHelp[c.Name] == "" {
			t.Errorf("no explanation of the drop reason %s", c.Name)
		}
	}
	for _, mode := range steer.Modes {
		if modes[string(mode)] == "" {
			t.Errorf("no explanation of the mode %s", mode)
		}
	}
}

func TestChart(t *testing.T) {
	for _, c := range []struct {
		received, lost []uint64
		step           int
		want           chart
	}{
		{nil, nil, 1, chart{Covered: "collecting", Lost: "no loss", Label: "Chart: the history is empty."}},
		{[]uint64{0, 50, 100}, []uint64{0, 7, 0}, 1, chart{
			Area: "M598 100 598 100 599 50 600 0 V100", Line: "M598 100 599 50 600 0 ", Losses: "M599 0V100",
			Peak: "100/s", Covered: "collecting: 3 seconds so far", Lost: "7 lost, in 1 second",
			Label: "Chart of the last ten minutes: at most 100/s received or delivered; 7 lost, in 1 second."}},
		{[]uint64{0, 0}, []uint64{0, 0}, 300, chart{
			Area: "M300 100 300 100 600 100 V100", Line: "M300 100 600 100 ", Peak: "0/s", Lost: "no loss",
			Label: "Chart of the last ten minutes: at most 0/s received or delivered; no loss."}},
	} {
		if got := newChart(history.Series{Received: c.received, Delivered: c.received, Lost: c.lost}, c.step); got != c.want {
			t.Errorf("got  %+v\nwant %+v", got, c.want)
		}
	}
}

func TestMean(t *testing.T) {
	list := []uint64{1000, 10, 20, 30, 40, 51}
	for _, c := range []struct{ seconds, step, want int }{{5, 1, 30}, {2, 1, 46}, {5, 10, 51}, {60, 1, 192}, {5, 2, 46}} {
		if got := mean(list, c.seconds, c.step); got != uint64(c.want) {
			t.Errorf("%d s, steps of %d s: got %d, want %d", c.seconds, c.step, got, c.want)
		}
	}
	if got := mean(nil, 5, 1); got != 0 {
		t.Errorf("no steps: got %d", got)
	}
}
