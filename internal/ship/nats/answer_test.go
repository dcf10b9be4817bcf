package nats

import "testing"

func TestAnswers(t *testing.T) {
	for text, want := range map[string]answer{
		`{"stream":"LOGS","seq":17}`:                                {Stream: "LOGS", Sequence: 17},
		`{"stream":"LOGS","domain":"d","seq": 17,"duplicate":true}`: {Stream: "LOGS", Sequence: 17},
		`{"stream":"NEW","seq":17}`:                                 {Stream: "NEW", Sequence: 17},
		`{"stream":"LO\u0047S","seq":17}`:                           {Stream: "LOGS", Sequence: 17},
		`{"type":"x","stream":"LOGS","seq":18446744073709551615}`:   {Stream: "LOGS", Sequence: 1<<64 - 1},
		`{}`: {},
		`{"error":{"err_code":10077},"stream":"LOGS","seq":0}`: {Stream: "LOGS"},
		`{"error":{"err_code":10077},"stream":"LOGS","seq":3}`: {Stream: "LOGS", Sequence: 3},
	} {
		got, err := parseAnswer([]byte(text), []string{"A", "LOGS"})
		if failed := got.Error != nil; failed != (len(text) > 30 && text[:8] == `{"error"`) {
			t.Errorf("%s: error %v", text, got.Error)
		}
		got.Error = nil
		if got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "+OK", `{"stream":"LOGS","seq":-1}`, `{"stream":1,"seq":1}`} {
		if got, err := parseAnswer([]byte(text), []string{"LOGS"}); err == nil {
			t.Errorf("%s: %v", text, got)
		}
	}
	data, streams := []byte(`{"stream":"LOGS","seq":17}`), []string{"LOGS"}
	if n := testing.AllocsPerRun(100, func() { parseAnswer(data, streams) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
