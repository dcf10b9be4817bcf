package main

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// counters returns every counter of the program's own among the metrics.
func counters(t *testing.T, http string) map[string]float64 {
	t.Helper()
	values := make(map[string]float64)
	for line := range strings.Lines(getText(t, "http://"+http+"/metrics")) {
		series, text, _ := strings.Cut(line, "} ")
		if name, _, ok := strings.Cut(series, "{"); !ok || !strings.HasPrefix(name, "udpshard_") || !strings.HasSuffix(name, "_total") {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			t.Fatal(err)
		}
		values[series] = value
	}
	if len(values) < 10 {
		t.Fatalf("%d counters", len(values))
	}
	return values
}

// goOn says that no counter has gone back, or is missing.
func wantCountersGrow(t *testing.T, before, after map[string]float64) {
	t.Helper()
	for series, was := range before {
		if now, ok := after[series]; !ok || now < was {
			t.Errorf("%s} went from %v to %v", series, was, now)
		}
	}
}

// notBack checks that no counter is less than before.
func wantTotalsGrow(t *testing.T, before, now metrics.Reading) {
	t.Helper()
	if now.Received < before.Received || now.Delivered < before.Delivered || now.Bytes < before.Bytes || now.Dropped.LostInCrash < before.Dropped.LostInCrash || now.Dropped.Kernel < before.Dropped.Kernel {
		t.Errorf("counters went back from %+v to %+v", before, now)
	}
}

// counted is the value of a series of whole numbers.
func metricValue(t *testing.T, metrics, series string) int {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

// holds says whether the ledger adds up: what is not delivered is in flight, or
// lost at the output.
func ledgerBalances(r metrics.Reading) bool {
	return r.Received == r.Delivered+r.InFlight+r.Dropped.Output && int64(r.InFlight) >= 0
}

// parts returns each shard's part of what was received between two readings.
func receivedShares(before, after []metrics.Reading) (parts []float64) {
	all := metrics.Sum(after).Received - metrics.Sum(before).Received
	for i := range after {
		parts = append(parts, float64(after[i].Received-before[i].Received)/float64(max(all, 1)))
	}
	return parts
}

func getText(t *testing.T, url string) string {
	t.Helper()
	response, err := httpClient.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// get returns what the HTTP server says.
func (p *process) get(path string) (body string, code int) {
	p.t.Helper()
	response, err := http.Get("http://" + p.http + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text), response.StatusCode
}
