package output

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/udpshard/udpshard/metrics"
)

// BenchmarkRecord is the cost of one record of 300 bytes: appended to the buffer of a stream,
// handed over and written.
func BenchmarkRecord(b *testing.B) {
	for _, bench := range []struct{ name, spec string }{{"discard", "discard"}, {"file", "file:"}, {"null", "file:/dev/null"}} {
		b.Run(bench.name, func(b *testing.B) {
			spec := bench.spec
			if spec == "file:" {
				spec += filepath.Join(b.TempDir(), "records")
			}
			set, shard := NewSet(func(e Event) { b.Errorf("event %+v", e) }), metrics.NewShard(0, 0)
			s, err := set.Open(spec, 0, shard, 1<<10)
			if err != nil {
				b.Fatal(err)
			}
			line := strings.Repeat("x", 299) + "\n"
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				s.Commit(append(s.Buffer(), line...))
			}
			s.Flush()
			if err := set.Close(b.Context()); err != nil {
				b.Error(err)
			}
		})
	}
}
