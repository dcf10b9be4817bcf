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

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
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
drain_timeout: 2s
%s
listeners:
  - {name: syslog, address: '%s', shards: 2, receive_buffer: 1MiB, to: 'tcp://%s'}
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

// With when_full: wait, a full spool makes shards wait, and the kernel counts what is lost. When the
// target is back, everything that the spool had is shipped.
func TestFullSpoolWaits(t *testing.T) {
	c := newSmallSpool(t, t.TempDir(), "wait")
	stop := c.watch()
	p := startServe(t, nil, "--config", c.file)
	s := newLargeSenders(t, c.address)
	s.fill(func() bool { return p.hasLogged("the spool is full") && p.total().Dropped.Kernel > 0 })
	if n := strings.Count(p.logs.String(), "the spool is full"); n > 2 {
		t.Errorf("%d log lines of 2 shards about a full spool", n)
	}
	to := startCollector(t, c.collector, nil)
	p.waitForLog(`"message":"output recovered`)
	s.send(s.sent+1_000, 5_000)
	p.waitForLedger(s.sent)
	total := p.total()
	o := p.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
	if total.Received != total.Delivered || o.Acknowledged != total.Delivered || o.Expired != 0 {
		t.Errorf("%+v, %+v", total, o)
	}
	p.wantStop()
	wantRecords(t, to, o.Acknowledged, 0)
	if largest := stop(); largest < smallestSpool-2*smallestSegment {
		t.Errorf("the largest size was %d", largest)
	}
}

// With when_full: drop_oldest, no datagram is lost in the kernel, and each dropped record is counted.
func TestFullSpoolDropsOldest(t *testing.T) {
	c := newSmallSpool(t, t.TempDir(), "drop_oldest")
	defer c.watch()()
	p := startServe(t, nil, "--config", c.file)
	s := newLargeSenders(t, c.address)
	s.fill(func() bool { return p.target().Expired > 5_000 })
	if n := len(p.logLines("spool full: oldest records dropped")); n > 1 {
		t.Errorf("%d log lines about dropped records within a minute", n)
	}
	p.waitForLedger(s.sent)
	to := startCollector(t, c.collector, nil)
	total := p.total()
	o := p.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
	if o.Spooled != total.Delivered || o.Acknowledged+o.Expired != total.Delivered || o.Rejected > 0 {
		t.Errorf("%+v, %+v", total, o)
	}
	p.wantStop()
	wantRecords(t, to, o.Acknowledged, largestBatch)
	logged := 0.0
	for _, line := range p.logLines("spool full: oldest records dropped") {
		logged += line["records"].(float64)
	}
	if logged != float64(o.Expired) {
		t.Errorf("%v records were logged as dropped, want %d", logged, o.Expired)
	}
}

// A full spool delays neither an upgrade nor the end of the process for longer than drain_timeout.
// What is not in the spool is counted, and what is in the spool is shipped by the next process.
func TestFullSpoolAtUpgradeAndStop(t *testing.T) {
	for _, whenFull := range []string{"wait", "drop_oldest"} {
		t.Run(whenFull, func(t *testing.T) {
			http := freePort(t)
			c := newSmallSpool(t, t.TempDir(), whenFull, "takeover: "+filepath.Join(t.TempDir(), "t.sock"), "http: "+http)
			stop := c.watch()
			start := func() *process {
				p := launch(t, nil, "serve", "--log-format", "json", "--config", c.file)
				p.http = http
				return p
			}
			full := func(p *process) bool {
				return p.hasLogged("the spool is full") && p.total().Dropped.Kernel > 0 || p.target().Expired > 1_000
			}
			first := start()
			first.waitUntilReady()
			s := newLargeSenders(t, c.address)
			s.fill(func() bool { return full(first) })
			last := first
			if next := start(); whenFull == "wait" {
				next.wantExit(cli.ExitFailed)
				if !next.hasLogged("still waits for its output") {
					t.Error("the successor does not say why there is no handover")
				}
			} else {
				next.waitForTakeover()
				first.wantExit(cli.ExitDone)
				last = next
			}
			s.send(s.sent+20_000, 20_000)
			before := last.target()
			began := time.Now()
			code := last.terminate()
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("SIGTERM took %v", took)
			}
			received, delivered, kernel, lost := last.finalLedger()
			if received+kernel != uint64(s.sent) || delivered+lost != received || (lost > 0) != (code == cli.ExitFailed) {
				t.Errorf("exit code %d, %d received, %d delivered, %d lost, %d dropped by the kernel, of %d",
					code, received, delivered, lost, kernel, s.sent)
			}
			to := startCollector(t, c.collector, nil)
			last = start()
			last.waitUntilReady()
			o := last.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
			if o.Acknowledged+o.Expired != delivered || o.Expired < before.Expired {
				t.Errorf("%+v of %d delivered; before: %+v", o, delivered, before)
			}
			last.wantStop()
			wantRecords(t, to, o.Acknowledged, largestBatch)
			stop()
		})
	}
}

// A full disk is survived with each policy: the ledgers are closed, and records flow again when
// there is room.
func TestFullDiskOfTheSpool(t *testing.T) {
	for _, whenFull := range []string{"wait", "drop_oldest"} {
		t.Run(whenFull, func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("udpshard-test", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("needs a small file system: run as root (CAP_SYS_ADMIN) to mount one: %v", err)
			}
			t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
			c := newSmallSpool(t, filepath.Join(dir, "spool"), whenFull)
			p := startServe(t, nil, "--config", c.file)
			s := newLargeSenders(t, c.address)
			s.fill(func() bool {
				return p.hasLogged("no space left on device") && (whenFull == "drop_oldest" || p.total().Dropped.Kernel > 0)
			})
			to := startCollector(t, c.collector, nil)
			p.waitForTarget("records flow", func(o metrics.Output) bool { return o.Acknowledged > 100 })
			s.send(s.sent+1_000, 5_000)
			p.waitForLedger(s.sent)
			total := p.total()
			o := p.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
			if total.Received != total.Delivered || o.Acknowledged+o.Expired != total.Delivered || o.Rejected > 0 {
				t.Errorf("%+v, %+v", total, o)
			}
			p.wantStop()
			wantRecords(t, to, o.Acknowledged, largestBatch)
		})
	}
}
