package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/udpshard/udpshard/metrics"
)

// smallSpool is a configuration with the smallest spool, and one target.
type smallSpool struct {
	t                     *testing.T
	folder, file, address string
	collector             string // address
}

const (
	smallestSpool   = 16 << 20
	smallestSegment = 1 << 20
	// largestWrite is the buffer of a shard: each shard may exceed max_size by one write.
	largestWrite = 512<<10 + 8<<10
	// largestBatch is the most records of a batch (doc of package ship).
	largestBatch = 8192
)

// newSmallSpool writes the configuration. In a namespace of mounts, dir is the folder of the spool.
func newSmallSpool(t *testing.T, dir, whenFull string, more ...string) *smallSpool {
	t.Helper()
	c := &smallSpool{t: t, folder: dir, file: filepath.Join(t.TempDir(), "udpshard.yaml"),
		address: freePort(t), collector: freePort(t)}
	text := fmt.Sprintf(`spool: {path: %s, max_size: 16MiB, segment_size: 1MiB, when_full: %s}
drain_timeout: 500ms
%s
listeners:
  - {name: syslog, address: '%s', shards: 2, steer: hash, receive_buffer: 1MiB,
     to: 'tcp://%s'}
`, dir, whenFull, strings.Join(more, "\n"), c.address, c.collector)
	if err := os.WriteFile(c.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// size returns the bytes of the files in the folder, but of the positions of targets.
func (c *smallSpool) size() (bytes int64) {
	c.t.Helper()
	filepath.WalkDir(c.folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil { // removed meanwhile
			return nil
		}
		if d.Name() == "consumers" {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// watch checks until stop is called that the folder is never too large. The result is the largest
// size.
func (c *smallSpool) watch() (stop func() int64) {
	c.t.Helper()
	const most = smallestSpool + smallestSegment + 2*largestWrite
	done := make(chan struct{})
	var largest int64
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if largest = max(largest, c.size()); largest > most {
				c.t.Errorf("the spool has %d bytes, at most %d are allowed", largest, most)
				return
			}
		}
	})
	return func() int64 { close(done); watching.Wait(); return largest }
}

// waitForTarget waits until the ledger of the target satisfies ok.
func (p *process) waitForTarget(want string, ok func(metrics.Output) bool) (o metrics.Output) {
	p.t.Helper()
	if !poll(func() bool { o = p.target(); return ok(o) }) {
		p.t.Fatalf("timed out: got %+v, want %s", o, want)
	}
	return o
}

// fill sends large messages until the condition holds.
func (s *senders) fill(condition func() bool) {
	s.t.Helper()
	eventually(s.t, "the spool is full", func() bool {
		s.send(s.sent+1_000, 40_000)
		return condition()
	})
}

// newLargeSenders sends messages of some 1,200 bytes.
func newLargeSenders(t *testing.T, to string) *senders {
	s := newSenders(t, to, 4)
	s.suffix = []byte(" " + strings.Repeat("x", 1_000))
	return s
}

// wantRecords checks that the collector has n messages, each once and in order, or up to more
// messages more: a batch that is being sent when its records are dropped counts as expired.
func wantRecords(t *testing.T, c *collector, n uint64, more int) {
	t.Helper()
	missing := 0
	eventually(t, "the collector has all records", func() bool {
		missing, _ = missingOf(t, c, int(n))
		return missing <= 0
	})
	if -missing > more {
		t.Errorf("the collector has %d records more than %d", -missing, n)
	}
}
