package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/udpshard/udpshard/internal/cli"
	"github.com/udpshard/udpshard/metrics"
)

// With when_full: wait, a full spool makes shards wait, and the kernel counts what is lost. When
// the target is back, everything that the spool had is shipped.
func TestFullSpoolWaits(t *testing.T) {
	t.Parallel()
	c := newSmallSpool(t, t.TempDir(), "wait")
	stop := c.watch()
	p := startServe(t, nil, "--config", c.file)
	s := newLargeSenders(t, c.address)
	s.fill(func() bool {
		return p.hasLogged("the spool is full") && p.total().Dropped.Kernel > 0
	})
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

// With when_full: drop_oldest, no shard waits, and each dropped record is counted.
func TestFullSpoolDropsOldest(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
	for _, whenFull := range []string{"wait", "drop_oldest"} {
		t.Run(whenFull, func(t *testing.T) {
			http := freePort(t)
			takeover := filepath.Join(t.TempDir(), "t.sock")
			c := newSmallSpool(t, t.TempDir(), whenFull, "takeover: "+takeover, "http: "+http)
			stop := c.watch()
			start := func() *process {
				p := launch(t, nil, "serve", "--log-format", "json", "--config", c.file)
				p.http = http
				return p
			}
			full := func(p *process) bool {
				isWaiting := p.hasLogged("the spool is full") && p.total().Dropped.Kernel > 0
				return isWaiting || p.target().Expired > 1_000
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
			isClosed := received+kernel == uint64(s.sent) && delivered+lost == received
			if !isClosed || (lost > 0) != (code == cli.ExitFailed) {
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
	t.Parallel()
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
				isFull := p.hasLogged("no space left on device")
				return isFull && (whenFull == "drop_oldest" || p.total().Dropped.Kernel > 0)
			})
			to := startCollector(t, c.collector, nil)
			p.waitForTarget("records flow", func(o metrics.Output) bool { return o.Acknowledged > 100 })
			s.send(s.sent+1_000, 5_000)
			p.waitForLedger(s.sent)
			total := p.total()
			o := p.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
			if total.Received != total.Delivered || o.Rejected > 0 ||
				o.Acknowledged+o.Expired != total.Delivered {
				t.Errorf("%+v, %+v", total, o)
			}
			p.wantStop()
			wantRecords(t, to, o.Acknowledged, largestBatch)
		})
	}
}

// A standby that has opened the spool when it was empty keeps to max_size, and ships everything, when
// it takes over from a process that has filled the spool.
func TestStandbyOfAFullSpool(t *testing.T) {
	t.Parallel()
	http := freePort(t)
	takeover := filepath.Join(t.TempDir(), "t.sock")
	c := newSmallSpool(t, t.TempDir(), "drop_oldest", "takeover: "+takeover, "http: "+http)
	stop := c.watch()
	start := func(more ...string) *process {
		args := []string{"serve", "--log-format", "json", "--config", c.file}
		p := launch(t, nil, append(args, more...)...)
		p.http = http
		return p
	}
	active := start()
	active.waitUntilReady()
	standby := start("--standby")
	standby.waitForLog("standby started")
	s := newLargeSenders(t, c.address)
	s.fill(func() bool { return active.target().Expired > 1_000 })
	active.kill()
	standby.waitForTakeover()
	s.send(s.sent+20_000, 20_000) // more than max_size
	standby.waitForLedger(s.sent)
	to := startCollector(t, c.collector, nil)
	o := standby.waitForTarget("nothing waits", func(o metrics.Output) bool { return o.Waiting == 0 })
	if total := standby.total(); o.Acknowledged+o.Expired != total.Delivered {
		t.Errorf("%+v, %+v", o, total)
	}
	stop()
	standby.wantStop()
	wantRecords(t, to, o.Acknowledged, largestBatch)
	if size := c.size(); size > 2*(smallestSegment+largestWrite) { // of the segments without an end
		t.Errorf("the empty spool has %d bytes", size)
	}
}
