package format

import (
	"testing"
	"time"
)

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(123456), "123,456"}, {Count(1234567), "1,234,567"},
		{Plural(0, "shard"), "0 shards"}, {Plural(1, "shard"), "1 shard"}, {Plural(1000, "shard"), "1,000 shards"},
		{Size(0), "0B"}, {Size(768), "768B"}, {Size(1023), "1023B"}, {Size(1024), "1KiB"}, {Size(1536), "1.5KiB"}, {Size(42_300), "41.3KiB"},
		{Size(212_992), "208KiB"}, {Size(64 << 20), "64MiB"}, {Size(1 << 31), "2GiB"}, {Size(5 << 40), "5TiB"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 29, 1, 12, 30, 0, time.FixedZone("", 3600))
	for ago, want := range map[time.Duration]string{
		-time.Second: "0 s ago", 999 * time.Millisecond: "0 s ago", 12 * time.Second: "12 s ago",
		119 * time.Second: "119 s ago", 2 * time.Minute: "2 min ago", 119 * time.Minute: "119 min ago",
		2 * time.Hour: "2 h ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "on 2026-11-27 01:12",
	} {
		if got := Ago(now.Add(-ago).UTC(), now); got != want {
			t.Errorf("%s: %q, want %q", ago, got, want)
		}
	}
}
