package output

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/metrics"
)

// What Probe says, Open does; and Probe makes nothing.
func TestProbe(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, err := range []error{
		os.WriteFile(at("regular"), []byte("a line\n"), 0o600), os.Mkdir(at("folder"), 0o700), unix.Mkfifo(at("fifo"), 0o600),
		os.Symlink("regular", at("link")), os.Symlink("folder/new", at("dangling")), os.Symlink("none/new", at("lost")),
		os.Symlink("circle", at("circle")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for spec, usable := range map[string]bool{
		"stdout": true, "discard": true, "file:" + at("regular"): true, "file:" + at("new-{shard}"): true, "file:" + at("fifo"): true,
		"file:" + at("link"): true, "file:" + at("dangling"): true, "file:/dev/null": true,
		"file:" + at("folder"): false, "file:" + at("none/new"): false, "file:" + at("regular/new"): false,
		"file:" + at("lost"): false, "file:" + at("circle"): false, "nothing": false,
	} {
		before, _ := os.ReadDir(dir)
		probed := Probe(spec, 0)
		if after, _ := os.ReadDir(dir); len(after) != len(before) {
			t.Fatalf("%s: %d files, and %d before", spec, len(after), len(before))
		}
		set := NewSet(func(Event) {})
		_, opened := set.Open(spec, 0, metrics.NewShard(0, 0), 1024)
		set.Close(t.Context())
		if (probed == nil) != usable || (opened == nil) != usable {
			t.Errorf("%s: Probe says %v, and Open %v", spec, probed, opened)
		} else if probed != nil && probed.Error() != opened.Error() {
			t.Errorf("%s: Probe says %v, and Open %v", spec, probed, opened)
		}
	}
}
