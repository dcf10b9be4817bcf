package config

import (
	"strings"
	"testing"
	"time"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/internal/output"
)

func TestRotation(t *testing.T) {
	c := read(t, "listeners:\n"+
		"  - {output: 'file:a', rotate_size: 256MiB, rotate_every: 24h, keep_size: 8GiB, keep_for: 720h, compress: zstd}\n"+
		"  - {address: ':1', output: 'file:b', rotate_size: 64KiB, rotate_every: off, keep_size: 0, compress: off}\n"+
		"  - {address: ':2', output: 'file:a', rotate_size: 262144KiB, rotate_every: 1440m, keep_size: 8192MiB, keep_for: 43200m, compress: zstd}\n"+
		"  - {address: ':3', output: 'file:c'}\n")
	full := output.Rotation{Size: 256 << 20, Every: 24 * time.Hour, KeepSize: 8 << 30, KeepFor: 720 * time.Hour, Compress: true}
	for i, want := range []output.Rotation{full, {Size: 64 << 10}, full, {}} {
		if got := c.Listeners[i].Rotation(); got != want {
			t.Errorf("listener %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestBadRotation(t *testing.T) {
	for _, test := range []struct{ keys, err, hint string }{
		{"output: file:a, rotate_size: 64K", `:2:35: listeners[0].rotate_size: "64K" is not a size`, "64KiB"},
		{"output: file:a, rotate_size: 65535", `:2:35: listeners[0].rotate_size: 65535 is less than 64KiB`, ""},
		{"output: file:a, rotate_every: 999ms", `listeners[0].rotate_every: 999ms is less than 1s`, ""},
		{"output: file:a, rotate_every: 30d", `listeners[0].rotate_every: "30d" is not a duration`, "720h"},
		{"output: file:a, rotate_size: 1MiB, keep_for: -1h", `listeners[0].keep_for: "-1h" is not a duration`, ""},
		{"output: file:a, rotate_size: 1MiB, compress: gzip", `listeners[0].compress: "gzip" is not one of off, zstd`, ""},
		{"output: file:a, keep_size: 1GiB", `:2:33: listeners[0].keep_size: without effect while rotate_size and rotate_every are off`, ""},
		{"output: file:a, rotate_size: 0, compress: zstd", `listeners[0].compress: without effect`, ""},
		{"output: stdout, rotate_size: 1MiB", `:2:35: listeners[0].rotate_size: only file:PATH has this setting, and the output is stdout`, ""},
		{"output: discard, rotate_every: 1h", `listeners[0].rotate_every: only file:PATH has this setting, and the output is discard`, ""},
		{"to: 'udp://127.0.0.1:5', rotate_every: 1h", `listeners[0].rotate_every: only file:PATH has this setting, and the output is the spool`, ""},
		{"rotate_every: 1h", `listeners[0].rotate_every: only file:PATH has this setting, and the output is stdout`, ""},
	} {
		_, err := written(t, "listeners:\n  - {"+test.keys+"}\n").Config()
		if err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", test.keys, err, test.err)
		} else if !strings.Contains(cli.Hint(err), test.hint) {
			t.Errorf("%s: hint %q, want %q", test.keys, cli.Hint(err), test.hint)
		}
	}
}

// Listeners with a file in common, also with that of a shard, rotate the file in the same way.
func TestListenersShareARotation(t *testing.T) {
	for _, test := range []struct {
		first, second string
		ok            bool
	}{
		{"output: file:a, rotate_size: 1MiB", "output: file:a, rotate_size: 1024KiB", true},
		{"output: file:a, rotate_size: 1MiB", "output: file:b", true},
		{"output: file:a, rotate_size: 1MiB", "output: file:a", false},
		{"output: file:a", "output: file:./a, rotate_every: 1h", false},
		{"output: file:a, rotate_size: 1MiB", "output: file:a, rotate_size: 1MiB, compress: zstd", false},
		{"shards: 3, output: 'file:a-{shard}', rotate_size: 1MiB", "output: file:a-2", false},
		{"shards: 2, output: 'file:a-{shard}', rotate_size: 1MiB", "output: file:a-2", true},
		{"shards: 2, output: 'file:a-{shard}', rotate_size: 1MiB", "shards: 1, output: 'file:a-{shard}', rotate_size: 2MiB", false},
	} {
		_, err := written(t, "listeners:\n  - {"+test.first+"}\n  - {address: ':1', "+test.second+"}\n").Config()
		const want = ": listener syslog has the file /"
		if (err == nil) != test.ok || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ":3:")) {
			t.Errorf("%s and %s: %v", test.first, test.second, err)
		}
	}
}
