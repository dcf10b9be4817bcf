package logging

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/udpshard/udpshard/metrics"
)

// A target has a line while it has something to do or fails, and a warning where records were
// refused or dropped.
func TestStatsOfTargets(t *testing.T) {
	now := metrics.Output{To: "tcp://127.0.0.1:6514", Acknowledged: 100} // of a predecessor
	ledger := metrics.NewLedger("x")
	ledger.Add(&metrics.Listener{Name: "a", Outputs: func() []metrics.Output { return []metrics.Output{now} }})
	var logs bytes.Buffer
	s := NewStats(ledger, zerolog.New(&logs), 0)
	at := s.since
	line := func() (fields map[string]any) {
		logs.Reset()
		at = at.Add(10 * time.Second)
		s.Log(at)
		for each := range bytes.Lines(logs.Bytes()) {
			var found map[string]any
			if err := json.Unmarshal(each, &found); err != nil {
				t.Error(err)
			}
			if found["message"] == "stats of a target" {
				fields = found
			}
		}
		return fields
	}
	if l := line(); l != nil {
		t.Errorf("an idle target has a line: %v", l)
	}
	now.Acknowledged, now.Waiting, now.OldestWaiting = 150, 7, 1.25
	if l := line(); l["acknowledged_per_s"] != 5.0 || l["waiting"] != 7.0 || l["oldest_waiting_s"] != 1.3 || l["level"] != "info" {
		t.Errorf("%v", l)
	}
	now.LastError = "away"
	if l := line(); l["acknowledged_per_s"] != 0.0 || l["error"] != "away" || l["level"] != "warn" {
		t.Errorf("%v", l)
	}
	now.LastError, now.Waiting, now.Rejected, now.Expired = "", 0, 3, 4
	if l := line(); l["rejected_in_interval"] != 3.0 || l["expired_in_interval"] != 4.0 || l["level"] != "warn" {
		t.Errorf("%v", l)
	}
	if l := line(); l != nil {
		t.Errorf("an idle target has a line: %v", l)
	}
}
