package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests of this file hold the built program to the promises of README.md.

func TestEveryDatagramBecomesOneRecordInOrder(t *testing.T) {
	total, rate := 200_000, 50_000
	if testing.Short() {
		total = 50_000
	}
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--shards", "2", "--output", "file:"+file)
	for _, shard := range p.status().Listeners[0].Shards {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/status", p.pid(), shard.Thread))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("\nCpus_allowed_list:\t%d\n", shard.CPU); !strings.Contains(string(status), want) {
			t.Errorf("thread %d of shard %d is not pinned to cpu %d", shard.Thread, shard.Shard, shard.CPU)
		}
	}
	s := newSenders(t, address, 16)
	s.send(total, rate)
	p.waitForLedger(total)
	shards := p.status().Listeners[0].Shards
	if shards[0].Received == 0 || shards[1].Received == 0 {
		t.Errorf("two shards received %d and %d datagrams of 16 senders, want some each", shards[0].Received, shards[1].Received)
	}
	p.wantStop()
	_, delivered, kernel, _ := p.finalLedger()
	p.wantNoDrops(kernel)
	r := newRecordChecker()
	if n := countLines(t, file, r.check); uint64(n) != delivered || n+int(kernel) != total {
		t.Errorf("got %d records, %d delivered, %d dropped by the kernel, of %d sent", n, delivered, kernel, total)
	}
	for _, fault := range r.faults {
		t.Error(fault)
	}
}

func TestOverloadIsCounted(t *testing.T) {
	for _, protocol := range []string{"discard", "syslog"} {
		address := freePort(t)
		p := startServe(t, nil, "--listen", address, "--protocol", protocol, "--receive-buffer", "32KiB",
			"--output", "file:"+filepath.Join(t.TempDir(), "{shard}.json"))
		s := newSenders(t, address, 8)
		s.send(150_000, 0)
		eventually(t, "sent = received + kernel", func() bool {
			r := p.total()
			if int64(r.InFlight) < 0 {
				t.Errorf("got %d in flight, want at least 0", int64(r.InFlight))
			}
			return r.Received+r.Dropped.Kernel == uint64(s.sent) && r.InFlight == 0
		})
		if r := p.total(); r.Dropped.Kernel == 0 {
			t.Errorf("%s: the kernel dropped no datagram: no overload", protocol)
		}
	}
}

func TestSingleRecordIsWrittenSoon(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.json")
	address := freePort(t)
	p := startServe(t, nil, "--listen", address, "--output", "file:"+file)
	s := newSenders(t, address, 1)
	var waits []time.Duration
	for i := range 15 {
		began := time.Now()
		s.burst(0, 1)
		p.waitForDelivered(i + 1)
		waits = append(waits, time.Since(began))
	}
	slices.Sort(waits)
	// The median: on a busy host, single records wait for a CPU.
	if median := waits[len(waits)/2]; median > 100*time.Millisecond {
		t.Errorf("got a median of %v until a record is written, want at most 100ms: %v", median, waits)
	}
}
