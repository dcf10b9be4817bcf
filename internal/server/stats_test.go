package server

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/metrics"
)

// The stats line has rates per second and counts of the interval, which its names say; and
// an idle listener is told of once.
func TestStatsLines(t *testing.T) {
	page := metrics.NewShard(0, 0)
	page.Received.Add(1000) // a predecessor's
	page.Delivered.Add(900)
	page.OutputLost.Add(100)
	ledger := metrics.NewLedger("x")
	ledger.Add(&metrics.Listener{Name: "a", Shards: []*metrics.Shard{page}})
	var logs bytes.Buffer
	s := newStats(ledger, zerolog.New(&logs), 0)
	at := s.since
	line := func() (fields map[string]any) {
		t.Helper()
		logs.Reset()
		at = at.Add(10 * time.Second)
		s.log(at)
		if logs.Len() > 0 && json.Unmarshal(logs.Bytes(), &fields) != nil {
			t.Errorf("%s", &logs)
		}
		return fields
	}
	if l := line(); l["level"] != "info" || l["received_per_s"] != 0.0 || l["lost_in_interval"] != 0.0 || l["interval_s"] != 10.0 || l["idle"] != true {
		t.Errorf("the first line: %v", l)
	}
	for range 3 {
		if l := line(); l != nil {
			t.Errorf("it is idle still, and says %v", l)
		}
	}
	page.Received.Add(500)
	page.Bytes.Add(70)
	page.Delivered.Add(440)
	page.OutputLost.Add(50)
	page.NotAllowed.Add(3)
	if l := line(); l["level"] != "warn" || l["received_per_s"] != 50.0 || l["delivered_per_s"] != 44.0 || l["bytes_per_s"] != 7.0 || l["in_flight"] != 7.0 ||
		l["lost_in_interval"] != 50.0 || l["dropped_output_in_interval"] != 50.0 || l["dropped_not_allowed_in_interval"] != 3.0 || l["idle"] != nil {
		t.Errorf("%v", l)
	}
	for range 2 {
		if l := line(); l["in_flight"] != 7.0 || l["idle"] != nil { // not idle: they wait
			t.Errorf("%v", l)
		}
	}
	page.Delivered.Add(7)
	if l := line(); l["delivered_per_s"] != 0.7 || l["idle"] != nil {
		t.Errorf("%v", l)
	}
	if l := line(); l["idle"] != true {
		t.Errorf("%v", l)
	}
	for name := range line() {
		t.Errorf("%s is said", name)
	}
	page.RateLimited.Add(1)
	page.Received.Add(1)
	if l := line(); l["dropped_rate_limited_in_interval"] != 1.0 || l["level"] != "info" {
		t.Errorf("%v", l)
	}
}
