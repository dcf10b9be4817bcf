package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stallTime is how long the targets of tests read nothing: one minute with UDPSHARD_TRIALS.
func stallTime() time.Duration {
	if os.Getenv("UDPSHARD_TRIALS") != "" {
		return time.Minute
	}
	return 3 * time.Second
}

// memory returns the resident set of the process in bytes (VmRSS, proc_pid_status(5)).
func (p *process) memory() (bytes int) {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	fmt.Sscan(after, &bytes)
	return bytes << 10
}

// bufferedRecords is fewer records than fill the three buffers of an output: a shard that waits for
// its output has more in flight.
const bufferedRecords = 4_000

// sendDuringStall sends until the stall is over, and checks that the process keeps its pace: shards
// do not wait for the spool, the kernel drops nothing, and the memory stays.
func sendDuringStall(p *process, s *senders) {
	p.t.Helper()
	const growth = 16 << 20
	before := p.memory()
	for began := time.Now(); time.Since(began) < stallTime(); {
		s.send(s.sent+500, 5_000)
		total := p.total()
		if total.InFlight > bufferedRecords || total.Dropped.Kernel > 0 {
			p.t.Fatalf("during the stall: %+v", total)
		}
		if now := p.memory(); now > before+growth {
			p.t.Fatalf("%d bytes of memory, and %d before the stall", now, before)
		}
	}
	if o := p.target(); o.Waiting < 5_000 {
		p.t.Errorf("the target did not stall: %+v", o)
	}
}

// missingOf checks the lines of the collector: each message at most once, in order, but for partial
// lines. It returns how many of n messages are missing, and the length of the shortest line.
func missingOf(t *testing.T, c *collector, n int) (missing, shortest int) {
	t.Helper()
	check := newRecordChecker()
	shortest = 1 << 20
	got := c.lines(func(line []byte) {
		check.check(line)
		shortest = min(shortest, len(line))
	})
	for _, fault := range check.faults {
		t.Error(fault)
	}
	return n - got, shortest
}

// A collector that reads nothing, resets its connection, and reads again has all messages in order,
// but for those that its TCP had and dropped.
func TestStoppedCollector(t *testing.T) {
	t.Parallel()
	c := startCollector(t, freePort(t), nil)
	c.awaitListening()
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--shards", "1", "--to", "tcp://"+c.address,
		"--spool", filepath.Join(t.TempDir(), "spool"))
	s := newSenders(t, address, 4)
	s.send(2_000, 5_000)
	p.waitForLedger(s.sent)
	p.waitForShipped()
	c.stop()
	sendDuringStall(p, s)
	c.signal(syscall.SIGUSR1)
	c.signal(syscall.SIGCONT)
	eventually(t, "the connection is reset", func() bool { return c.dropped() > 0 })
	s.send(s.sent+2_000, 5_000)
	p.waitForLedger(s.sent)
	p.waitForShipped()
	p.wantStop()
	eventually(t, "the collector has read everything", func() bool {
		missing, shortest := missingOf(t, c, s.sent)
		return missing*shortest <= c.dropped()
	})
	if missing, _ := missingOf(t, c, s.sent); missing == 0 {
		t.Error("the collector has dropped nothing: it did not stall")
	}
}

// A broker that is stopped and goes on has each message once, in order.
func TestStoppedBroker(t *testing.T) {
	eachBroker(t, func(t *testing.T, b broker) {
		address, args := shipArgs(t, b)
		p := startServe(t, nil, args...)
		s := newSenders(t, address, 4)
		s.send(2_000, 5_000)
		p.waitForLedger(s.sent)
		p.waitForShipped()
		b.signal(syscall.SIGSTOP)
		sendDuringStall(p, s)
		b.signal(syscall.SIGCONT)
		s.send(s.sent+2_000, 5_000)
		p.waitForLedger(s.sent)
		p.waitForShipped()
		p.wantStop()
		wantExactlyOnce(t, b, uint64(s.sent))
	})
}
