package logging

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/udpshard/udpshard/metrics"
)

// A stats line has rates per second and counts of the interval. A listener without traffic has one
// line.
func TestStatsLines(t *testing.T) {
	counters := metrics.NewShard(0, 0)
	counters.Received.Add(1000) // of a predecessor
	counters.Delivered.Add(900)
	counters.OutputLost.Add(100)
	ledger := metrics.NewLedger("x")
	ledger.Add(&metrics.Listener{Name: "a", Shards: []*metrics.Shard{counters}})
	var logs bytes.Buffer
	s := NewStats(ledger, zerolog.New(&logs), 0)
	at := s.since
	line := func() (fields map[string]any) {
		t.Helper()
		logs.Reset()
		at = at.Add(10 * time.Second)
		s.Log(at)
		if logs.Len() > 0 && json.Unmarshal(logs.Bytes(), &fields) != nil {
			t.Errorf("%s", &logs)
		}
		return fields
	}
	expect := func(want map[string]any) { // nil: the field is absent
		t.Helper()
		l := line()
		for name, value := range want {
			if l[name] != value {
				t.Errorf("%s is %v, want %v; the line: %v", name, l[name], value, l)
			}
		}
	}
	type fields = map[string]any
	expect(fields{"level": "info", "received_per_s": 0.0, "lost_in_interval": 0.0,
		"interval_s": 10.0, "idle": true})
	for range 3 {
		if l := line(); l != nil {
			t.Errorf("a second line of an idle listener: %v", l)
		}
	}
	counters.Received.Add(500)
	counters.Bytes.Add(70)
	counters.Delivered.Add(440)
	counters.OutputLost.Add(50)
	counters.NotAllowed.Add(3)
	expect(fields{"level": "warn", "received_per_s": 50.0, "delivered_per_s": 44.0,
		"bytes_per_s": 7.0, "in_flight": 7.0, "lost_in_interval": 50.0, "idle": nil,
		"dropped_output_in_interval": 50.0, "dropped_not_allowed_in_interval": 3.0})
	for range 2 {
		expect(fields{"in_flight": 7.0, "idle": nil}) // records wait
	}
	counters.Delivered.Add(7)
	expect(fields{"delivered_per_s": 0.7, "idle": nil})
	expect(fields{"idle": true})
	if l := line(); l != nil {
		t.Errorf("a second line of an idle listener: %v", l)
	}
	counters.RateLimited.Add(1)
	counters.Received.Add(1)
	expect(fields{"dropped_rate_limited_in_interval": 1.0, "level": "info"})
}
