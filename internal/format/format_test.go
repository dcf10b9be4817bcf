package format

import "testing"

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Count(0), "0"}, {Count(999), "999"}, {Count(1000), "1,000"}, {Count(123456), "123,456"}, {Count(1234567), "1,234,567"},
		{Plural(0, "shard"), "0 shards"}, {Plural(1, "shard"), "1 shard"}, {Plural(1000, "shard"), "1,000 shards"},
		{Size(0), "0B"}, {Size(768), "768B"}, {Size(1023), "1023B"}, {Size(1024), "1KiB"}, {Size(1536), "1.5KiB"}, {Size(42_300), "41.3KiB"},
		{Size(212_992), "208KiB"}, {Size(64 << 20), "64MiB"}, {Size(1 << 31), "2GiB"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}
