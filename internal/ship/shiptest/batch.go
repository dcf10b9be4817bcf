package shiptest

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/ship"
)

// Batch returns a batch of series 1-0 from a record number on.
func Batch(first int, records ...string) *ship.Batch {
	b := &ship.Batch{Spool: "0123456789abcdef", Listener: "syslog", Series: "1-0",
		First: uint64(first), Format: ship.JSON, SpooledAt: time.Now()}
	for _, r := range records {
		b.Records = append(b.Records, []byte(r))
	}
	return b
}

// Numbered returns a batch of n numbered records in JSON, as a syslog listener writes them.
func Numbered(first, n int) *ship.Batch {
	records := make([]string, n)
	for i := range records {
		records[i] = fmt.Sprintf(`{"timestamp":"2026-11-29T01:02:03Z","hostname":"host%d","appname":"app",`+
			`"facility":"auth","severity":"crit","message":"record %d","received_at":"2026-11-29T01:02:03.4Z",`+
			`"source":"192.0.2.%d:514","listener":"syslog","shard":0,"format":"rfc5424"}`,
			(first+i)%7, first+i, (first+i)%7)
	}
	return Batch(first, records...)
}

// Settings returns the settings of a target. options are keys and values in turn.
func Settings(t testing.TB, target string, options ...string) *ship.Settings {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	s := &ship.Settings{URL: u, Options: make(map[string]string), Listener: "syslog", Format: ship.JSON}
	for i := 0; i+1 < len(options); i += 2 {
		s.Options[options[i]] = options[i+1]
	}
	return s
}
